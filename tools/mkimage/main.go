// Mkimage makes a container image from one static program, without a network,
// a base image or a container engine:
//
//	go run ./tools/mkimage --binary bin/hello --ref localhost/hello:1.0.0 --out package/images
//
// The image is written into the OCI image layout --out, which is made if it is
// not there; an index.json entry with the annotation
// org.opencontainers.image.ref.name carries the reference. Run it again with
// another --ref to put a second image there, or with the same --ref and another
// --platform (and --binary) to make the image an index of both.
//
// The same input gives the same bytes: times are zero, owners are root, and
// nothing of the machine gets in. The image holds one file and runs as an
// unprivileged user; what the program needs beside itself (certificates, time
// zones) it must embed.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	in, out, err := parse(args)
	if err != nil {
		return err
	}
	l, err := openLayout(out)
	if err != nil {
		return err
	}
	manifest, err := l.putImage(in)
	if err != nil {
		return err
	}
	top, err := l.add(in.ref, manifest)
	if err != nil {
		return err
	}
	fmt.Println(top.Digest)
	return nil
}

// image is what is asked for.
type image struct {
	ref        string
	binary     string
	entrypoint string // absolute path of the program in the image
	env        []string
	user       string
	platform   ocispec.Platform
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func parse(args []string) (image, string, error) {
	var in image
	flags := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	flags.StringVar(&in.binary, "binary", "", "the static program to put into the image (`FILE`)")
	flags.StringVar(&in.ref, "ref", "", "the image's reference, such as localhost/hello:1.0.0")
	flags.StringVar(&in.entrypoint, "entrypoint", "", "path of the program in the image; default / and the name of the file")
	flags.StringVar(&in.user, "user", "65534:65534", "numeric user and group that the program runs as")
	flags.Var((*list)(&in.env), "env", "`NAME=value` in the program's environment; may be repeated")
	platform := flags.String("platform", "linux/amd64", "operating system and architecture of the program")
	out := flags.String("out", "", "directory of the OCI image layout (`DIR`)")
	if err := flags.Parse(args); err != nil {
		return in, "", err
	}
	if in.binary == "" || in.ref == "" || *out == "" || flags.NArg() > 0 {
		return in, "", fmt.Errorf("--binary, --ref and --out are needed, and no other arguments")
	}
	if in.entrypoint == "" {
		in.entrypoint = "/" + filepath.Base(in.binary)
	}
	if !strings.HasPrefix(in.entrypoint, "/") || filepath.Clean(in.entrypoint) != in.entrypoint || in.entrypoint == "/" {
		return in, "", fmt.Errorf("--entrypoint %q is not a clean absolute path", in.entrypoint)
	}
	for _, e := range in.env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return in, "", fmt.Errorf("--env %q is not NAME=value", e)
		}
	}
	parts := strings.Split(*platform, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return in, "", fmt.Errorf("--platform %q is not os/architecture[/variant]", *platform)
	}
	in.platform = ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		in.platform.Variant = parts[2]
	}
	return in, *out, nil
}
