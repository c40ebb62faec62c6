package composefile

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/consign-dev/consign/internal/reason"
)

// manyLines repeats a format with 0, 1, ...
func manyLines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// doubling is an env file whose every line has the one before twice.
func doubling(n int) string {
	text := "A0=xxxxxxxxxx\n"
	for i := 1; i < n; i++ {
		text += fmt.Sprintf("A%d=${A%d}$A%d\n", i, i-1, i-1)
	}
	return text
}

// bombs are small archives that stand for much. None may take the memory that
// it asks for: each is refused before compose-go sees it.
func bombs() map[string]Files {
	service := func(more string, files ...string) Files {
		f := Files{ComposeFile: []byte("services:\n  a:\n    image: example.com/a:1\n" + more)}
		for i := 0; i+1 < len(files); i += 2 {
			f[files[i]] = []byte(files[i+1])
		}
		return f
	}
	whole := func(text string) Files { return Files{ComposeFile: []byte(text)} }
	mega := strings.Repeat("x", 1<<20)
	return map[string]Files{
		"nested defaults":          service("    command: \"" + strings.Repeat("${A:-", 100_000) + "x" + strings.Repeat("}", 100_000) + "\"\n"),
		"defaults nested a little": service("    command: \"" + strings.Repeat("${A:-", 50) + "x" + strings.Repeat("}", 50) + "\"\n"),
		"open defaults":            service("    command: \"" + strings.Repeat("${A:-", 100_000) + "\"\n"),
		"many defaults":            service("    command: \"" + strings.Repeat("${A:-x}", 100_000) + "\"\n"),
		"values":                   service("    command: \"" + strings.Repeat("${BIG}", 100_000) + "\"\n"),
		"values, bare":             service("    command: \"" + strings.Repeat("$BIG ", 10_000) + "\"\n"),
		"values in many texts":     service("    environment: [" + strings.Repeat("'A=${BIG}', ", 10_000) + "'A=1']\n"),
		"long text behind aliases": {ComposeFile: []byte("x-a: &a \"" + strings.Repeat("y", 500_000) + "\"\n" +
			"services:\n  a:\n    image: example.com/a:1\n    command: [" + strings.Repeat("*a, ", 150) + "x]\n")},
		"extends in a long row": whole("services:\n" + func() string {
			var b strings.Builder
			for i := range 200 {
				fmt.Fprintf(&b, "  s%d: {image: 'x:1', extends: s%d}\n", i, i+1)
			}
			return b.String() + "  s200: {image: 'x:1'}\n"
		}()),
		"extends of a large service": whole("services:\n  base:\n    image: x:1\n    environment:\n" +
			manyLines(4_000, "      A%d: b\n") + manyLines(200, "  s%d: {extends: base}\n")),
		"extends of a long text": whole("services:\n  base:\n    image: x:1\n    command: \"" + strings.Repeat("x", 500_000) + "\"\n" +
			manyLines(200, "  s%d: {extends: {service: base}}\n")),
		"extends itself":        service("    extends: a\n"),
		"services":              whole("services:\n" + manyLines(1_000, "  s%d: {image: 'x:1'}\n")),
		"port ranges":           service("    ports: [" + strings.Repeat("'1-65535:1-65535', ", 50_000) + "'1']\n"),
		"port range, variable":  service("    ports: [\"${LOW}-${HIGH}/udp\"]\n"),
		"env file that doubles": service("    env_file: a.env\n", "a.env", doubling(60)),
		"env file on one line":  service("    env_file: a.env\n", "a.env", `A="xxxxxxxx"`+strings.Repeat(`A="$A$A"`, 60)),
		"env file of defaults":  service("    env_file: a.env\n", "a.env", "A="+strings.Repeat("${A:-x}", 100_000)),
		"env file, nested":      service("    env_file: a.env\n", "a.env", "A="+strings.Repeat("${A:-", 50_000)+strings.Repeat("}", 50_000)),
		"env file, long":        service("    env_file: a.env\n", "a.env", strings.Repeat("A=1\n", 1<<20)),
		"env file, many times":  {ComposeFile: []byte("services:\n" + manyLines(100, "  s%d: {image: 'x:1', env_file: a.env}\n")), "a.env": []byte("A=" + mega[:1<<19])},
		"config, many times":    service("configs:\n"+manyLines(1000, "  c%d: {file: big}\n"), "big", mega),
		"laughs": whole("x-0: &a0 [x, x, x, x, x, x, x, x, x]\n" + func() string {
			var b strings.Builder
			for i := 1; i < 9; i++ {
				fmt.Fprintf(&b, "x-%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 8), i-1)
			}
			return b.String()
		}() + smallCompose),
		"merges of merges": whole("x-0: &a0 {k0: 1, k1: 1, k2: 1, k3: 1}\n" + func() string {
			var b strings.Builder
			for i := 1; i < 12; i++ {
				fmt.Fprintf(&b, "x-%d: &a%d {b%d: {<<: *a%d}, c%d: {<<: *a%d}, d%d: {<<: [*a%d, *a%d]}}\n", i, i, i, i-1, i, i-1, i, i-1, i-1)
			}
			return b.String()
		}() + smallCompose),
		"depth": whole(strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)),
	}
}

// Attack A7, where it is compose-go that would make much of little.
func TestAttackA7SmallFilesThatGrow(t *testing.T) {
	for name, files := range bombs() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Load(t.Context(), files, Vars{Values: map[string]string{"BIG": strings.Repeat("v", 1<<20), "LOW": "1", "HIGH": "65535"}}, "p")
			runtime.ReadMemStats(&after)
			if !reason.Is(err, reason.TooLarge) {
				t.Errorf("error %.300v, want reason too-large", err)
			}
			if err != nil && len(err.Error()) > 2*maxMessage {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 512 {
				t.Errorf("%d MiB were allocated", took)
			}
		})
	}
}

// What people write stays far below the bounds.
func TestOrdinaryFilesGrow(t *testing.T) {
	files := Files{
		ComposeFile: []byte("services:\n" + manyLines(40, "  s%d:\n    extends: base\n    command: \"${A:-${B:-${C:-x}}} $$HOME\"\n") +
			"  base:\n    image: x:1\n    env_file: a.env\n    ports: ['8000-8100:8000-8100']\n"),
		"a.env": []byte("BASE=/data\nLOG=${BASE}/log\nMAIL=\"${LOG}/mail\nand more\" # why\nexport OPT=${X:-${BASE}}\n"),
	}
	p, err := Load(t.Context(), files, Vars{}, "p")
	if err != nil {
		t.Fatal(err)
	}
	if env := p.Services["s7"].Environment; *env["MAIL"] != "/data/log/mail\nand more" || *env["OPT"] != "/data" {
		t.Errorf("environment %v", env)
	}
}

// Reading an env file by statements gives what compose-go reads from the whole.
func FuzzEnvFile(f *testing.F) {
	for _, s := range []string{"A=1\nB=$A\n", "# c\n\n export A='x\ny' B: z\nC", "A=\"a\\\"b\\\\\"B=\"${A}\"\n", "A=1 # c\n  # d\nA", "A=${X:-d}\r\nB=${A:+e}", "A=\u00a0\"x\" y=z", "export\nA=1", "'=1", doubling(4)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 {
			return
		}
		vars := map[string]string{"X": "x y", "EMPTY": ""}
		e := envReader{vars: vars, own: map[string]string{}, left: 1 << 16}
		err := e.read(text)
		if err != nil && (reason.Is(err, reason.TooLarge) || strings.Contains(err.Error(), noValue)) {
			return // compose-go takes a blank for what has no value
		}
		want, theirs := dotenv.UnmarshalWithLookup(text, func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
		if (err == nil) != (theirs == nil) {
			t.Fatalf("%q: %v, compose-go says %v", text, err, theirs)
		}
		if err == nil && fmt.Sprint(e.own) != fmt.Sprint(want) {
			t.Fatalf("%q: %q, compose-go reads %q", text, e.own, want)
		}
	})
}
