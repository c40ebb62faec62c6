package applytest

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// planted is in every secret of the story, and may be found nowhere but in the
// device's file and in the application.
const planted = "planted-S3cret"

// secretsStayOnTheDevice: an order names a secret, the device has it, the
// application gets it, and nobody else does.
func secretsStayOnTheDevice(_ *testing.T, s *site) {
	s.publish("1.0.0", Secret)
	_, err := s.orderSecret("1.0.0", map[string]string{"greeting": planted}, nil)
	if !reason.Is(err, reason.DeploymentMismatch) || !strings.Contains(err.Error(), "--secret greeting=NAME") || strings.Contains(err.Error(), planted) {
		s.Errorf("an order with the value itself: %v", err)
	}
	s.deployment, err = s.orderSecret("1.0.0", nil, map[string]string{"greeting": "line-7"})
	s.w.Must(err)

	// A deploy key alone gives no secret to anyone: the policy has to grant it.
	if _, err := s.d.Sync(); !reasoned(err, reason.Grant) || !strings.Contains(err.Error(), "grants.secrets") {
		s.Errorf("a secret that is not granted: %v", err)
	}
	s.w.Rules = map[string]string{"hello": "    grants: {secrets: [line-7, line-8]}\n"}
	s.w.SetPolicy("")
	s.refuseSecret("line-7 is missing")
	s.writeSecret(planted+" one", 0o644)
	s.refuseSecret("has mode 0644")
	s.writeSecret(planted+" one", 0o600)
	s.sync(agent.Installed)
	s.answers(planted + " one (hello 1.0.0)")
	first := fmt.Sprint(s.running())
	s.sync(agent.Unchanged)
	if again := fmt.Sprint(s.running()); again != first {
		s.Errorf("a cycle without news replaced %s by %s", first, again)
	}
	s.secretIsRotated()
	s.returnsWithThePresentSecret()
	s.secretIsNowhere()
}

// secretIsRotated: a new content restarts what has the secret, without a network
// and whatever the policy says about drift, but in the window.
func (s *site) secretIsRotated() {
	s.Helper()
	s.w.SetPolicy("    mayRemove: true\n    drift: report\n")
	s.sync(agent.Unchanged)
	s.w.StopRegistry()
	defer s.w.StartRegistry()
	s.writeSecret(planted+" two", 0o600)
	at := s.w.Now.Add(2 * time.Hour)
	s.d.Config.ApplyWindow = agent.Window{Hours: at.Format("15:04") + "-" + at.Add(time.Hour).Format("15:04")}
	s.watch(agent.Drifted)
	s.answers(planted + " one (hello 1.0.0)")
	s.d.Config.ApplyWindow = agent.Window{}
	s.watch(agent.Corrected)
	s.answers(planted + " two (hello 1.0.0)")
	s.logEnds("drifted", "intent:apply", "outcome")
	res, err := s.d.Watch()
	if err != nil || len(res.Changes) > 0 {
		s.Errorf("after the rotation: %+v, %v", res, err)
	}
}

// returnsWithThePresentSecret: the stored render of the last good version names
// the secret, so it gets what is in the file today.
func (s *site) returnsWithThePresentSecret() {
	s.Helper()
	s.publish("1.1.0", Secret, Sick)
	_, err := s.orderSecret("1.1.0", nil, nil) // the secret is kept
	s.w.Must(err)
	s.writeSecret(planted+" three", 0o600)
	changes := s.fail(reason.Health)
	if len(changes) != 1 || changes[0].Returned != "1.0.0" {
		s.Fatalf("changes %+v, want a return to 1.0.0", changes)
	}
	s.answers(planted + " three (hello 1.0.0)")

	// Without its secret nothing is touched: what runs, runs on.
	s.publish("1.2.0", Secret)
	_, err = s.orderSecret("1.2.0", nil, map[string]string{"greeting": "line-8"})
	s.w.Must(err)
	before := fmt.Sprint(s.running())
	if _, err := s.d.Sync(); !reasoned(err, reason.Ineligible) {
		s.Errorf("an order of a secret that is not there: %v", err)
	}
	if now := fmt.Sprint(s.running()); now != before {
		s.Errorf("a missing secret replaced %s by %s", before, now)
	}

	// One that is gone is reported, and hides nothing else that is to be seen.
	file := filepath.Join(s.d.Config.SecretsDir, "line-7")
	s.w.Must(os.Rename(file, file+".away"))
	if _, err := s.d.Watch(); !reasoned(err, reason.Ineligible) || !strings.Contains(err.Error(), "line-7 is missing") {
		s.Errorf("a look without the secret: %v", err)
	}
	if now := fmt.Sprint(s.running()); now != before {
		s.Errorf("a secret that is gone replaced %s by %s", before, now)
	}
	s.k.Disturb(s.T, s.deployment)
	res, err := s.d.Watch()
	if !reasoned(err, reason.Ineligible) || len(res.Changes) != 1 || res.Changes[0].Action != agent.Drifted {
		s.Errorf("drift without the secret: %+v, %v", res, err)
	}
	s.w.Must(os.Rename(file+".away", file))
	s.w.SetPolicy("    mayRemove: true\n")
	if _, err := s.d.Sync(); !reasoned(err, reason.Ineligible) { // of 1.2.0 and line-8, still
		s.Errorf("the next cycle: %v", err)
	}
	s.answers(planted + " three (hello 1.0.0)")
}

func (s *site) watch(want agent.Action) {
	s.Helper()
	res, err := s.d.Watch()
	if err != nil {
		s.Fatal(err)
	}
	s.only(res, want)
}

func (s *site) orderSecret(version string, values, secrets map[string]string) (string, error) {
	all := map[string]string{"port": s.port}
	maps.Copy(all, values)
	return s.w.TryDeploy(s.d.ID, version, all, secrets)
}

func (s *site) writeSecret(text string, mode fs.FileMode) {
	s.Helper()
	path := filepath.Join(s.d.Config.SecretsDir, "line-7")
	s.w.Must(os.WriteFile(path, []byte(text), mode))
	s.w.Must(os.Chmod(path, mode))
}

func (s *site) refuseSecret(says string) {
	s.Helper()
	changes := s.fail(reason.Ineligible)
	if len(changes) != 1 || changes[0].Action != agent.Refused || !strings.Contains(changes[0].Message, says) {
		s.Errorf("changes %+v, want a refusal saying %q", changes, says)
	}
	if n := len(s.running()); n > 0 {
		s.Errorf("%d objects run", n)
	}
	s.logEnds("refused:ineligible")
}

// secretIsNowhere reads all that is kept, in the registry too, and all that the
// programs say.
func (s *site) secretIsNowhere() {
	s.Helper()
	seen := 0
	for _, dir := range []string{s.d.Config.StateDir, s.w.RegistryDir} {
		s.w.Must(filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			seen++
			if bytes.Contains(data, []byte(planted)) {
				s.Errorf("%s holds the secret", path)
			}
			return err
		}))
	}
	if seen < 20 {
		s.Errorf("only %d files were looked at", seen)
	}
	config := filepath.Join(s.TempDir(), "agent.yaml")
	text := fmt.Sprintf("stateDir: %s\nengine: %q\nkubeconfig: %q\nregistryAddress: %s\ndockerConfig: %s\nsecretsDir: %s\n",
		s.d.Config.StateDir, s.d.Config.Engine, s.d.Config.Kubeconfig, s.d.Config.RegistryAddress, s.d.Config.DockerConfig, s.d.Config.SecretsDir)
	s.w.Must(os.WriteFile(config, []byte(text), 0o600))
	for _, args := range [][]string{{"status"}, {"status", "--output", "json"}, {"verify", "--explain"}, {"sync", "--output", "json"}, {"log", "events"}} {
		cmd := exec.Command(filepath.Join(world.Programs(s.T), "agent"), append(args, "--config", config)...)
		out, _ := cmd.CombinedOutput() // the order that is refused makes it fail
		if bytes.Contains(out, []byte(planted)) || len(out) < 20 {
			s.Errorf("agent %q says\n%s", args, out)
		}
	}
}

// MarkGreeting makes the greeting a secret parameter of a package's profiles: it has
// no value and no setting any more.
func MarkGreeting(w *world.World, dir string, profiles ...string) {
	description := filepath.Join(dir, "margo.yaml")
	for _, id := range profiles {
		w.Edit(description, "    id: "+id+"\n", "    id: "+id+"\n    x-consign-extensions: {secretParameters: [greeting]}\n")
	}
	w.Edit(description, "    value: Hello from the edge\n", "")
	w.Edit(description, "        - parameter: greeting\n          name: Greeting\n          description: What the service answers.\n          schema: text\n", "")
	w.Edit(description, "    - name: text\n      dataType: string\n      minLength: 1\n      maxLength: 200\n", "")
}
