// Package task is what an agent and an applier program say to each other.
//
// An applier program (cmd/applier-compose, cmd/applier-helm) is started for one
// task and ends with it. The request is one line of JSON on its standard input,
// the answer one line of JSON on its standard output; both are specified field
// by field in docs/spec/applier.md. Standard error is for people and is never parsed.
//
//	applier-compose render   archive + values + images -> the exact project
//	applier-compose apply    the exact project -> running containers
//	applier-compose observe  what runs under a project name
//	applier-compose remove   take it away
//	applier-compose info     what the engine is and what of ours it stores
//	applier-compose prune    remove the images of ours that nobody needs
//	applier-compose snapshot copy the data of a deployment's volumes
//	applier-compose restore  put such a copy back
//	applier-helm    render   chart + values + images -> the exact objects
//	applier-helm    images   chart + values -> the images that it names
//	applier-helm    apply    the exact objects -> what runs in a cluster
//	applier-helm    observe  what runs of a release
//	applier-helm    remove   take it away
//	applier-helm    info     what the cluster is
//	applier-helm    snapshot copy the data of a deployment's claims
//	applier-helm    restore  put such a copy back
//
// The name of the task is the program's only argument and is repeated in the
// request: the program has to confine itself for a render (and for images)
// before it has read a byte, and the repetition makes a mix-up an error. The
// sender keeps the pipe open until it has the answer: when it closes early the
// sender is gone, and the program stops.
//
// This package is a leaf, apart from internal/apply, so that the applier
// programs do not link the verifier that sits on top of the protocol.
package task

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Name says which of the tasks a request is.
type Name string

// The tasks. The text is the program's argument, too.
const (
	Render   Name = "render"
	Apply    Name = "apply"
	Observe  Name = "observe"
	Remove   Name = "remove"
	Info     Name = "info"
	Prune    Name = "prune"
	Snapshot Name = "snapshot"
	Restore  Name = "restore"
	Images   Name = "images"
)

// Labels that mark every object which Consign makes in an engine. An object
// that bears a project's name without the right LabelDeployment is somebody
// else's and is left alone.
const (
	LabelDeployment = "dev.consign.deployment" // id of the ApplicationDeployment
	LabelComponent  = "dev.consign.component"  // name of the component
	LabelDevice     = "dev.consign.device"     // id of the device
	// LabelHelper is on a container that exists only while volumes are copied; its
	// value is the project. Such a container is never started.
	LabelHelper = "dev.consign.helper"
)

// MaxRender bounds a render, which is kept, checked and sent on. Text files of
// the package count towards it, since they are part of the render.
const MaxRender = 8 << 20

// RenderLimits are for whoever reads a part of a render.
var RenderLimits = strictjson.Limits{Bytes: MaxRender, Depth: 32}

// MaxRequest and MaxAnswer bound one line of the protocol. A request holds at
// most a component archive of 16 MiB in base64, an answer at most a render.
const (
	MaxRequest = 24 << 20
	MaxAnswer  = 12 << 20
)

// Request is the line on standard input. Input is the input of the task that
// Task names.
type Request struct {
	Task  Name            `json:"task"`
	Input json.RawMessage `json:"input"`
}

// Answer is the line on standard output: a result or a refusal, never both.
type Answer struct {
	Result  json.RawMessage `json:"result,omitempty"`
	Refusal *Refusal        `json:"refusal,omitempty"`
}

// Refusal is an error that crosses the pipe with its reason.
type Refusal struct {
	Reason  reason.Code `json:"reason"`
	Message string      `json:"message"`
}

// RenderInput asks for the exact project that a Compose archive makes with
// given values. Nothing else enters the render.
type RenderInput struct {
	// Archive is the Margo Compose archive (tar.gz), as its digest was checked.
	Archive []byte `json:"archive"`
	// Project is the Compose project name: lower-case letters, digits, '-' and
	// '_', beginning with a letter or digit, at most 63 bytes.
	Project string `json:"project"`
	// Values are the interpolation variables, all of them but the secret ones.
	Values map[string]string `json:"values"`
	// Secrets are the secret variables, each with the name of the device's secret,
	// which takes its place in the project. What is in them is no part of a render.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Images maps each image reference of the archive's compose.yaml, spelled as
	// there or as in the bundle, to the reference by digest that replaces it.
	Images map[string]string `json:"images"`
	// Labels are put on every service, network and volume. LabelDeployment is
	// required.
	Labels map[string]string `json:"labels"`
	// Limits are for the containers that name none themselves.
	Limits Limits `json:"limits"`
}

// RenderResult is an exact project: what is checked, logged, kept and applied.
type RenderResult struct {
	// Project is the resolved Compose project as JSON. The same input gives the
	// same bytes.
	Project []byte `json:"project"`
	// Digest is the sha256 digest of Project.
	Digest digest.Digest `json:"digest"`
	// Images are the references by digest that Project names, sorted, each once.
	Images []string `json:"images"`
	// Defaulted are the places of Project that were filled from Limits, such as
	// services.web.mem_limit, sorted: for people who read a plan.
	Defaulted []string `json:"defaulted,omitempty"`
}

// ApplyInput asks to run a render.
type ApplyInput struct {
	// Engine is the address of the Docker engine: unix:///absolute/path or, for
	// tests, tcp://127.0.0.1:port. The environment is never asked.
	Engine string `json:"engine"`
	// Project is the Compose project name; it must be the render's.
	Project string `json:"project"`
	// Deployment is the value of LabelDeployment on what may be touched.
	Deployment string `json:"deployment"`
	// Render is RenderResult.Project and Digest its digest. The bytes are hashed
	// again before anything is done.
	Render []byte        `json:"render"`
	Digest digest.Digest `json:"digest"`
	// Images is RenderResult.Images: what is pulled and must be present before
	// a container is touched.
	Images []string `json:"images"`
	// Secrets are those that the render names, by name.
	Secrets map[string]Secret `json:"secrets,omitempty"`
	// Wait asks for running and healthy containers before success is reported.
	// Without it, success means that every container was started.
	Wait bool `json:"wait"`
	// TimeoutSeconds bounds the whole task, pulls included.
	TimeoutSeconds int `json:"timeoutSeconds"`
}

// ApplyResult says what runs after an apply.
type ApplyResult struct {
	Services []Service `json:"services"`
	// Objects are those of a cluster.
	Objects []LiveObject `json:"objects,omitempty"`
	// Notes say in words what was found in disorder and put right.
	Notes []string `json:"notes,omitempty"`
}

// Service is one container of a project.
type Service struct {
	// Name is the service's name in the project.
	Name string `json:"name"`
	// Container is the engine's id of the container and ContainerName its name.
	Container     string `json:"container"`
	ContainerName string `json:"containerName"`
	// State is the engine's word: created, running, restarting, paused, exited, dead.
	State string `json:"state"`
	// Health is starting, healthy or unhealthy, or empty without a health check.
	Health string `json:"health,omitempty"`
	// ExitCode is that of the last run when State is exited or dead.
	ExitCode int `json:"exitCode,omitempty"`
	// Restarts counts the engine's own restarts of the container.
	Restarts int `json:"restarts,omitempty"`
	// Image is the reference by digest that the container was made from.
	Image string `json:"image"`
	// ImageID is the engine's id (config digest) of the image that runs.
	ImageID string `json:"imageId"`
	// Facts is what the container can do to the machine.
	Facts Facts `json:"facts"`
}

// ObserveInput asks what runs under a project name.
type ObserveInput struct {
	Engine     string `json:"engine"`
	Project    string `json:"project"`
	Deployment string `json:"deployment"`
	// Render and Digest, when given, are what should run; the result then lists
	// the differences.
	Render []byte        `json:"render,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
	// Secrets are the present versions of the secrets that Render names.
	Secrets map[string]string `json:"secrets,omitempty"`
}

// ObserveResult is what runs. No services means that nothing does.
type ObserveResult struct {
	Services []Service `json:"services"`
	// Objects are those of a cluster.
	Objects []LiveObject `json:"objects,omitempty"`
	// Drift has one sentence for each difference from the render; empty when
	// none was given or what runs is what was rendered.
	Drift []string `json:"drift,omitempty"`
	// Rotated has one sentence for each service that was started with another
	// version of its secrets than the present one; that is no drift.
	Rotated []string `json:"rotated,omitempty"`
	// Notes say in words what the engine cannot hold the containers to.
	Notes []string `json:"notes,omitempty"`
}

// RemoveInput asks to take a project away.
type RemoveInput struct {
	Engine     string `json:"engine"`
	Project    string `json:"project"`
	Deployment string `json:"deployment"`
	// Volumes asks to delete the project's named volumes, and so their data, too.
	Volumes bool `json:"volumes"`
	// TimeoutSeconds bounds the whole task.
	TimeoutSeconds int `json:"timeoutSeconds"`
}

// RemoveResult lists the names of what was removed, sorted.
type RemoveResult struct {
	Containers []string `json:"containers,omitempty"`
	Networks   []string `json:"networks,omitempty"`
	Volumes    []string `json:"volumes,omitempty"`
	// Objects are those of a cluster: kind/name.
	Objects []string `json:"objects,omitempty"`
}
