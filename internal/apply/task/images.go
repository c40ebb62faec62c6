package task

import "github.com/opencontainers/go-digest"

// InfoInput asks what the engine is and what it stores under one name.
type InfoInput struct {
	Engine string `json:"engine"`
	// Repository is the name of our images without a digest: 127.0.0.1:port/c.
	Repository string `json:"repository"`
}

// InfoResult describes an engine.
type InfoResult struct {
	// Version is the engine's own, APIVersion what the two sides agreed on.
	Version    string `json:"version"`
	APIVersion string `json:"apiVersion"`
	// Driver is the storage driver, such as overlay2.
	Driver string `json:"driver"`
	// DataRoot is the directory in which the engine keeps everything.
	DataRoot string `json:"dataRoot"`
	// Images counts the images that bear a digest under Repository.
	Images int `json:"images"`
	// ImageBytes is the sum of their sizes as the engine gives them: a layer that
	// two of them share counts twice.
	ImageBytes int64 `json:"imageBytes"`
}

// PruneInput asks to remove the images under one name that nobody needs.
type PruneInput struct {
	Engine string `json:"engine"`
	// Repository is the name of our images without a digest. Every other name,
	// and every tag, is somebody else's.
	Repository string `json:"repository"`
	// Keep are the digests that stay. Digests of which there is no image are
	// ignored, so a caller may name all content that it keeps.
	Keep []digest.Digest `json:"keep"`
	// TimeoutSeconds bounds the whole task.
	TimeoutSeconds int `json:"timeoutSeconds"`
}

// PruneResult says what was removed.
type PruneResult struct {
	// Images are the references by digest that are gone, sorted.
	Images []string `json:"images,omitempty"`
	// Bytes is the sum of the sizes of the images of which nothing is left: an
	// upper bound of what became free, since layers can be shared.
	Bytes int64 `json:"bytes"`
}
