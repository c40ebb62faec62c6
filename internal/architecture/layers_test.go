package architecture

import "testing"

// layers lists the packages from the ground up. A package imports from its own
// layer and those below (Go itself forbids circles within one). A new package
// is entered where the things that it is made of lie below it.
var layers = [][]string{
	// words and marks: they import nothing of ours but each other
	{"internal/reason", "internal/fault", "internal/fields", "internal/lazyregexp"},
	// mechanics: files, strict decoders, the terminal
	{"internal/durable", "internal/strictjson", "internal/strictyaml", "internal/archive", "internal/cli"},
	// documents and keys, without any idea of trust
	{"internal/margo", "internal/bundle", "internal/keys", "internal/composefile", "internal/chartfile", "internal/apply/task", "internal/apply/sandbox", "internal/apply/copies", "internal/apply/hostdir"},
	// transport and keeping of bytes; still no idea of trust
	{"internal/oci", "internal/store", "internal/gather", "internal/idtoken", "internal/pkcs11", "internal/kms"},
	// trust: what was signed, by whom, and what an operator allows
	{"policy", "internal/sign", "internal/tufclient", "internal/tufrepo", "internal/channel", "internal/verify"},
	// the record of what was decided
	{"internal/audit", "internal/inputs", "internal/replay"},
	// what is done with a verdict, and what makes something to verify
	{"internal/apply", "internal/apply/compose", "internal/apply/helm", "internal/apply/helm/cluster", "internal/pack", "internal/plan", "internal/sbom", "internal/provenance"},
	// the roles
	{"internal/publish", "internal/agent", "internal/agent/doctor", "internal/auditor"},
	// the commands of the publisher, which several programs are
	{"cmd/internal/publisher"},
	// the programs
	{"cmd/publisher", "cmd/agent", "cmd/auditor", "cmd/applier-compose", "cmd/applier-helm"},
}

// outside are the parts that no layer may import: they may import anything.
var outside = []string{"internal/architecture", "internal/world", "internal/apply/applytest", "internal/cli/clitest", "internal/sigstoretest", "internal/kubetest", "internal/testprograms", "internal/composefile/hostile", "examples", "tools", "test", "demo"}

// sideways forbids what the layers alone would allow, and says why.
var sideways = []struct {
	from, to []string
	why      string
}{
	{
		[]string{"internal/agent", "internal/auditor", "internal/verify", "internal/store", "internal/gather", "internal/tufclient", "internal/apply"},
		[]string{"internal/publish", "internal/pack", "internal/plan", "internal/tufrepo", "internal/sbom", "internal/provenance"},
		"a device and an auditor never make what they check",
	},
	{
		[]string{"internal/publish", "internal/pack", "internal/plan", "internal/auditor"},
		[]string{"internal/agent"},
		"roles meet in the registry and in the log, not in code",
	},
	{
		[]string{"internal/agent", "cmd/agent"},
		[]string{"internal/replay"},
		"a device judges anew: what it archived is for auditors, and no answer is read back from a disk",
	},
	{
		[]string{"internal", "policy", "examples"},
		[]string{"internal/cli"},
		"libraries return values and errors; only a program talks to a terminal",
	},
}

func layerOf(path string) int {
	for i, layer := range layers {
		for _, p := range layer {
			if p == path {
				return i
			}
		}
	}
	return -1
}

func TestLayersNameWhatExists(t *testing.T) {
	exists := map[string]bool{}
	for _, p := range packages(t) {
		exists[p.path()] = true
	}
	for _, layer := range layers {
		for _, p := range layer {
			if !exists[p] {
				t.Errorf("layers_test.go names %s, which is no package", p)
			}
		}
	}
}

func TestImportsGoDownwards(t *testing.T) {
	for _, p := range packages(t) {
		if under(p.path(), outside...) {
			continue
		}
		from := layerOf(p.path())
		if from < 0 {
			t.Errorf("%s is in no layer: enter it in layers_test.go", p.path())
			continue
		}
		for _, imported := range p.Imports {
			if !ours(imported) {
				continue
			}
			to := inModule(imported)
			if under(to, outside...) {
				t.Errorf("%s imports %s, which is for tests and tools only", p.path(), to)
			} else if layerOf(to) > from {
				t.Errorf("%s (layer %d) imports %s (layer %d): imports go downwards", p.path(), from, to, layerOf(to))
			}
		}
	}
}

func TestRolesDoNotImportEachOther(t *testing.T) {
	for _, p := range packages(t) {
		for _, rule := range sideways {
			if !under(p.path(), rule.from...) {
				continue
			}
			for _, imported := range p.Imports {
				if ours(imported) && under(inModule(imported), rule.to...) && !under(p.path(), rule.to...) {
					t.Errorf("%s imports %s: %s", p.path(), inModule(imported), rule.why)
				}
			}
		}
	}
}
