package compose

import (
	"context"
	"strings"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// Info says what the engine is and what it stores under a name.
func Info(ctx context.Context, in task.InfoInput) (task.InfoResult, error) {
	if err := checkRepository(in.Repository); err != nil {
		return task.InfoResult{}, err
	}
	e, err := connect(ctx, in.Engine)
	if err != nil {
		return task.InfoResult{}, err
	}
	defer e.Close()
	about, err := e.client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return task.InfoResult{}, engineError("ask the engine about itself", err)
	}
	out := task.InfoResult{
		Version: about.Info.ServerVersion, APIVersion: e.client.ClientVersion(),
		Driver: about.Info.Driver, DataRoot: about.Info.DockerRootDir,
	}
	images, err := e.ownImages(ctx, in.Repository)
	for _, i := range images {
		out.Images++
		out.ImageBytes += i.size
	}
	return out, err
}

// ownImage is an image of the engine that bears our name.
type ownImage struct {
	id   string
	size int64
	// refs are its references by digest under our name; other names of the same
	// image are not listed.
	refs []string
	// shared says that the image has other names, too.
	shared bool
}

// ownImages lists the images that have a reference by digest under a repository.
func (e *engine) ownImages(ctx context.Context, repository string) ([]ownImage, error) {
	if err := step("images"); err != nil {
		return nil, err
	}
	list, err := e.client.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, engineError("list images", err)
	}
	var out []ownImage
	for _, found := range list.Items {
		if own := ownOf(found, repository); len(own.refs) > 0 {
			out = append(out, own)
		}
	}
	return out, nil
}

func ownOf(found image.Summary, repository string) ownImage {
	own := ownImage{id: found.ID, size: found.Size}
	for _, ref := range found.RepoDigests {
		if strings.HasPrefix(ref, repository+"@sha256:") {
			own.refs = append(own.refs, ref)
		}
	}
	own.shared = len(found.RepoDigests) > len(own.refs) || len(found.RepoTags) > 0
	return own
}

// repositoryName is the name of a repository on loopback: what the agent's
// registry is called, and what nobody else's images are.
var repositoryName = lazyregexp.New(`^127\.0\.0\.1:[0-9]{1,5}/[a-z0-9]+$`)

func checkRepository(name string) error {
	if !repositoryName.MatchString(name) {
		return reason.New(reason.Malformed, "repository %q: must be 127.0.0.1:port/name, the agent's own registry", name)
	}
	return nil
}
