package pack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
)

// DefaultEngine is the socket of the Docker engine.
const DefaultEngine = "/var/run/docker.sock"

const (
	// maxSaved bounds what an engine may send for one image; it stops a run
	// that would fill the disk.
	maxSaved = 64 << 30
	// maxEngineError bounds the text of a refusal.
	maxEngineError = 16 << 10
)

// fromEngine saves an image of the Docker engine into a temporary file and
// reads it from there: layers are read twice, and an engine's answer only once.
func (p *packer) fromEngine(ctx context.Context, image string) (located, error) {
	f, err := os.CreateTemp("", "consign-image-*.tar")
	if err != nil {
		return located{}, fmt.Errorf("save image: %w", err)
	}
	p.temps = append(p.temps, f.Name())
	err = saveImage(ctx, p.socket(), image, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return located{}, err
	}
	return fromArchive(f.Name(), image)
}

func (p *packer) socket() string {
	if p.Engine == "" {
		return DefaultEngine
	}
	return p.Engine
}

// saveImage writes the "docker save" archive of image to w (Docker Engine API,
// Export several images, which takes the name as a query parameter).
func saveImage(ctx context.Context, socket, image string, w io.Writer) error {
	if err := fault.Point("pack.engine"); err != nil {
		return err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	address := "http://docker/images/get?names=" + url.QueryEscape(image)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("save image: %w", err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		var addressed *url.Error
		if errors.As(err, &addressed) {
			err = addressed.Err
		}
		return reason.New(reason.Unreachable, "Docker engine at %s: %w", socket, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return engineError(resp)
	}
	n, err := io.Copy(w, io.LimitReader(resp.Body, maxSaved+1))
	if err != nil {
		return reason.New(reason.Unreachable, "save image %s: %w", image, err)
	}
	if n > maxSaved {
		return reason.New(reason.TooLarge, "image %s is larger than %d bytes", image, int64(maxSaved))
	}
	return nil
}

func engineError(resp *http.Response) error {
	var body struct {
		Message string `json:"message"`
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxEngineError))
	_ = json.Unmarshal(data, &body) // the status alone will do
	return reason.New(reason.Unreachable, "Docker engine: %s: %q", resp.Status, body.Message)
}
