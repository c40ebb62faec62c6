package applytest_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/apply/applytest"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) { os.Exit(applytest.Main(m, 300)) }

func TestCompose(t *testing.T) {
	address := os.Getenv("CONSIGN_TEST_ENGINE")
	if address == "" {
		t.Fatal("no Docker engine for tests: run this with make test")
	}
	docker, err := client.New(client.WithHost(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = docker.Close() })
	applytest.Run(t, compose{address, docker})
}

// compose is the kind that applier-compose applies, on a real Docker engine.
type compose struct {
	address string
	docker  *client.Client
}

func (c compose) Device(w *world.World, id string) *world.Device { return w.Device(id, c.address) }

func (c compose) Address(_ *testing.T, _, port string) string { return "127.0.0.1:" + port }

func (c compose) Acts() string { return "engine.up" }

func (c compose) Costs() int { return 1 }

const stack = "components/hello-stack/compose.yaml"

func (compose) Empties() string { return "engine.volume-create" }

func (c compose) Give(w *world.World, dir string, trait applytest.Trait) {
	if slices.Contains([]applytest.Trait{applytest.Secret, applytest.Pair, applytest.SickPair}, trait) {
		w.WithoutChart(dir) // what is changed of margo.yaml is of the one profile
	}
	switch trait {
	case applytest.Sick:
		c.sicken(w, filepath.Join(dir, stack))
	case applytest.Privileged:
		w.Edit(filepath.Join(dir, stack), "    read_only: true", "    read_only: true\n    privileged: true")
	case applytest.Secret:
		c.secret(w, dir)
	case applytest.Pair:
		c.pair(w, dir)
	case applytest.SickPair:
		c.pair(w, dir)
		c.sicken(w, filepath.Join(dir, "components/second/compose.yaml"))
	case applytest.Listing:
		// The directory of a new volume is root's.
		w.Edit(filepath.Join(dir, stack), `user: "65534:65534"`, "user: \"0:0\"\n    volumes: [\"data:/data\"]")
		w.Edit(filepath.Join(dir, stack), "GREETING: ${GREETING}", "GREETING: ${GREETING}\n      STARTS: /data/starts")
		w.Edit(filepath.Join(dir, stack), "services:\n", "volumes: {data: {}}\nservices:\n")
	}
}

// sicken makes the health check fail, and soon.
func (c compose) sicken(w *world.World, file string) {
	w.Edit(file, `["CMD", "/hello", "health"]`, `["CMD", "/hello", "unwell"]`)
	w.Edit(file, "interval: 2s", "interval: 300ms")
	w.Edit(file, "retries: 5", "retries: 2")
	w.Edit(file, "start_period: 10s", "start_period: 0s")
}

// secret has the greeting delivered as a file. The application runs as a user of
// its own, to whom alone the file is readable.
func (c compose) secret(w *world.World, dir string) {
	applytest.MarkGreeting(w, dir, "hello-compose")
	w.Edit(filepath.Join(dir, stack), "      GREETING: ${GREETING}\n", "      GREETING_FILE: /run/secrets/words\n")
	w.Edit(filepath.Join(dir, stack), "    read_only: true\n", "    secrets: [{source: words, uid: \"65534\", gid: \"65534\", mode: 0400}]\n")
	w.Edit(filepath.Join(dir, stack), "services:\n", "secrets: {words: {environment: GREETING}}\nservices:\n")
}

// pair adds a second component: the first again, without its port.
func (c compose) pair(w *world.World, dir string) {
	w.Must(os.CopyFS(filepath.Join(dir, "components/second"), os.DirFS(filepath.Join(dir, "components/hello-stack"))))
	w.Edit(filepath.Join(dir, "components/second/compose.yaml"), "    ports:\n      - \"127.0.0.1:${PORT}:8080\"\n", "")
	w.Edit(filepath.Join(dir, "components/second/compose.yaml"), "${GREETING}", "second")
	description := filepath.Join(dir, "margo.yaml")
	data, err := os.ReadFile(description)
	w.Must(err)
	block := slices.Concat([]byte("      - name: second\n"), component(data))
	w.Edit(description, "# A parameter reaches", string(block)+"# A parameter reaches")
}

// component is the example's component without its name: the lines of
// margo.yaml from "properties:" to the comment after them.
func component(description []byte) []byte {
	text := string(description)
	from := strings.Index(text, "        properties:\n")
	to := strings.Index(text, "# A parameter reaches")
	return []byte(text[from:to])
}

func (c compose) Running(t *testing.T, deployment string) []string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also asked while a test cleans up
	ids := []string{}
	if deployment == "" {
		return ids
	}
	list, err := c.docker.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", task.LabelDeployment+"="+deployment),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	slices.Sort(ids)
	return ids
}

func (c compose) Disturb(t *testing.T, deployment string) {
	t.Helper()
	ids := c.Running(t, deployment)
	if len(ids) == 0 {
		t.Fatal("nothing runs that could be disturbed")
	}
	if _, err := c.docker.ContainerRemove(t.Context(), ids[0], client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
}

func (c compose) Meddle(t *testing.T, deployment string) {
	t.Helper()
	found, err := c.docker.ContainerInspect(t.Context(), c.Running(t, deployment)[0], client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.docker.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name:       "meddler-" + deployment[:8],
		Config:     &container.Config{Image: found.Container.Config.Image, Labels: found.Container.Config.Labels},
		HostConfig: &container.HostConfig{Privileged: true, PidMode: "host"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.docker.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c compose) Discard(t *testing.T, deployment string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	list, err := c.docker.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("label", task.LabelDeployment+"="+deployment)})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list.Items {
		if _, err := c.docker.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{}); err != nil {
			t.Error(err)
		}
	}
}
