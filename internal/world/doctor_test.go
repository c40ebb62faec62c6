package world_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/agent/doctor"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// examine looks at a device and returns its findings by "check" or "check subject".
func examine(w *world.World, d *world.Device) map[string]doctor.Finding {
	w.T.Helper()
	out := map[string]doctor.Finding{}
	options := agent.Options{ApplierDir: world.Programs(w.T)}
	for _, f := range agent.Examine(context.Background(), d.Config, options, func() time.Time { return w.Now }).Findings {
		out[strings.TrimSpace(f.Check+" "+f.Subject)] = f
	}
	return out
}

func wantFinding(t *testing.T, f doctor.Finding, status doctor.Status, code reason.Code) {
	t.Helper()
	if f.Status != status || f.Reason != code {
		t.Errorf("finding %+v, want %s %s", f, status, code)
	}
}

// TestDoctorAndPrune: an upgrade leaves the engine with the images of the new
// version alone, and the doctor sees the device as it is, before and beside a
// running agent, and after its channels and its registry have gone.
func TestDoctorAndPrune(t *testing.T) {
	w := world.New(t)
	// Versions of no other test: an image that another test's container uses stays.
	w.Publish("acme", "7.0.0", nil)
	w.Publish("acme", "7.1.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { w.Cleanup(); takeAway(w, d) })
	port := world.FreePort(t)
	w.Deploy(d.ID, "7.0.0", map[string]string{"port": port})
	res, err := d.Sync()
	wantAction(t, res, err, agent.Installed)
	before := examine(w, d)
	running := before["engine "+d.Config.Engine]
	wantFinding(t, running, doctor.OK, "")
	if running.Figures["images"] != 1 || running.Figures["imageBytes"] <= 0 {
		t.Errorf("the engine holds %v, want one image of 7.0.0", running.Figures)
	}
	for _, name := range []string{"clock", "channel deployments", "channel releases acme", "registry deployments", "registry releases acme", "lock", "log", "port " + d.Config.RegistryAddress, "orders", "disk store"} {
		wantFinding(t, before[name], doctor.OK, "")
	}
	if disk := before["disk store"].Figures; disk["neededBytes"] <= 0 || disk["neededBytes"] > disk["contentBytes"] {
		t.Errorf("the store holds %v", disk)
	}

	w.Deploy(d.ID, "7.1.0", map[string]string{"port": port})
	res, err = d.Sync()
	wantAction(t, res, err, agent.Upgraded)
	if got := examine(w, d)["engine "+d.Config.Engine].Figures["images"]; got != 1 {
		t.Errorf("the engine holds %d images after the upgrade, want that of 7.1.0 alone", got)
	}
	besideARunningAgent(w, d)

	w.Now = w.Now.Add(8 * 24 * time.Hour)
	w.StopRegistry()
	late := examine(w, d)
	wantFinding(t, late["channel deployments"], doctor.Fail, reason.Freeze)
	wantFinding(t, late["registry releases acme"], doctor.Fail, reason.Unreachable)
	wantFinding(t, late["engine "+d.Config.Engine], doctor.OK, "")
}

// besideARunningAgent: lock and port are held, by the process that may hold them.
func besideARunningAgent(w *world.World, d *world.Device) {
	w.T.Helper()
	a, err := agent.Open(w.Context(), d.Config, agent.Options{ApplierDir: world.Programs(w.T), Program: "agent test"})
	w.Must(err)
	ctx, stop := context.WithCancel(w.Context())
	first, done := make(chan struct{}, 8), make(chan error, 1)
	go func() {
		done <- a.Run(ctx, func() time.Time { return w.Now }, func(*agent.Result, error) { first <- struct{}{} })
	}()
	<-first
	seen := examine(w, d)
	stop()
	w.Must(<-done)
	w.Must(a.Close())
	if lock := seen["lock"]; lock.Figures["pid"] != int64(os.Getpid()) || lock.Status != doctor.OK {
		w.T.Errorf("the lock is held by process %d: %+v", os.Getpid(), lock)
	}
	me := fmt.Sprintf("(process %d)", os.Getpid())
	if port := seen["port "+d.Config.RegistryAddress]; port.Status != doctor.OK || !strings.Contains(port.Found, me) {
		w.T.Errorf("the port is held by %s: %+v", me, port)
	}
}

// TestPruneThatFailsIsAWarning: the new version runs, so the cycle was a success.
func TestPruneThatFailsIsAWarning(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	d := w.Device("press-07", engine(t))
	t.Cleanup(func() { takeAway(w, d) })
	w.Deploy(d.ID, "1.0.0", map[string]string{"port": world.FreePort(t)})

	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = prune ] && { echo broken >&2; exit 1; }\nexec %s/applier-compose \"$@\"\n", world.Programs(t))
	w.Must(os.WriteFile(filepath.Join(dir, "applier-compose"), []byte(script), 0o700))
	var log bytes.Buffer
	a, err := agent.Open(w.Context(), d.Config, agent.Options{ApplierDir: dir, Program: "agent test", Log: slog.New(slog.NewTextHandler(&log, nil))})
	w.Must(err)
	defer a.Close()
	res, err := a.Sync(w.Context(), w.Now, agent.Everything)
	wantAction(t, res, err, agent.Installed)
	if !strings.Contains(log.String(), "still in the engine") || !strings.Contains(log.String(), "broken") {
		t.Errorf("the agent warns of %q", log.String())
	}
	if kinds := d.Events(); kinds[len(kinds)-1] != "outcome" {
		t.Errorf("the log ends with %q", kinds[len(kinds)-1])
	}
}

// TestDoctorIsNotKeptWaiting: a registry that takes a connection and says
// nothing costs a person five seconds, and is named.
func TestDoctorIsNotKeptWaiting(t *testing.T) {
	w := world.New(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	w.Must(err)
	defer silent.Close()
	root, err := os.ReadFile(filepath.Join(w.Dir, "plant", "root.json"))
	w.Must(err)
	d := &world.Device{Config: agent.DefaultConfig()}
	d.Config.StateDir, d.Config.Engine = filepath.Join(w.Dir, "device"), "unix:///nonexistent/engine.sock"
	d.Config.DockerConfig = filepath.Join(w.Dir, "docker.json")
	_, err = agent.Init(w.Context(), d.Config, agent.InitInput{Device: "press-07", Channel: silent.Addr().String() + "/plant/deployments", Root: root, Now: w.Now})
	w.Must(err)
	start := time.Now()
	found := examine(w, d)["registry deployments"]
	wantFinding(t, found, doctor.Fail, reason.Unreachable)
	if took := time.Since(start); took > 15*time.Second || !strings.Contains(found.Found, "no answer within 5s") {
		t.Errorf("after %s: %q", took, found.Found)
	}
}
