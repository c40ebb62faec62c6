package task

import "github.com/opencontainers/go-digest"

// SnapshotInput asks to copy the data of a deployment's named volumes.
type SnapshotInput struct {
	Engine     string `json:"engine"`
	Deployment string `json:"deployment"`
	// Projects are those whose volumes are copied.
	Projects []string `json:"projects"`
	// Images are references by digest; they are pulled before anything is stopped.
	// Volumes are read through a container made of the first.
	Images []string `json:"images"`
	// Dir is the absolute path of the directory, empty and nobody else's, in which
	// the copies are written.
	Dir string `json:"dir"`
	// Room is how many bytes may be written there.
	Room int64 `json:"room"`
	// TimeoutSeconds bounds the task until it has to start again what it stopped.
	TimeoutSeconds int `json:"timeoutSeconds"`
}

// SnapshotResult lists what was copied, sorted by name. When it is not empty,
// the containers of the projects that it names are stopped.
type SnapshotResult struct {
	Volumes []Volume `json:"volumes"`
}

// Volume is the copy of one named volume, and how to make the volume again; or that
// of one claim of a cluster, which is there to stay.
type Volume struct {
	// Project is the volume's project, Name its name in the engine; of a claim, its
	// namespace and its name.
	Project string `json:"project"`
	Name    string `json:"name"`
	// Driver is the volume's, or what a cluster calls the kind of it: hostPath, local.
	Driver  string            `json:"driver"`
	Options map[string]string `json:"options,omitempty"`
	Labels  map[string]string `json:"labels"`
	// File is the name of the tar archive in the directory, Size its length in
	// bytes and Digest its sha256 digest.
	File   string        `json:"file"`
	Size   int64         `json:"size"`
	Digest digest.Digest `json:"digest"`
	// Content is a digest of what is in the archive, times left out: that of the
	// volume once it is filled again.
	Content digest.Digest `json:"content"`
}

// RestoreInput asks to put copies back: volumes with the same names are removed
// and made again. The containers of their projects go.
type RestoreInput struct {
	Engine         string   `json:"engine"`
	Deployment     string   `json:"deployment"`
	Images         []string `json:"images"`
	Dir            string   `json:"dir"`
	Volumes        []Volume `json:"volumes"`
	TimeoutSeconds int      `json:"timeoutSeconds"`
}

// RestoreResult has nothing to say: without a refusal, each volume holds what
// its copy does.
type RestoreResult struct{}
