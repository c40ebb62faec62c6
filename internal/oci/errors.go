package oci

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/consign-dev/consign/internal/reason"
)

// ErrNotFound says that the registry answered and does not have the object.
// Errors that wrap it carry the reason unreachable: what is missing now may be
// there at the next try.
var ErrNotFound = errors.New("not found in the registry")

// ErrDenied says that the registry wants other credentials, or any.
var ErrDenied = errors.New("check the credentials for this host in the Docker configuration ('docker login')")

// errDeadline is the cancellation cause when an object took longer than its
// size allows.
var errDeadline = errors.New("the transfer took longer than its size allows")

// errTooSlow is the cancellation cause when a source fell under the minimum
// rate.
var errTooSlow = errors.New("the source sent less than the minimum rate")

// maxErrorBody bounds what is read of an error answer; registries write a few
// hundred bytes.
const maxErrorBody = 16 << 10

// fail turns an error of the transport or of oras into one with a reason. The
// text never contains a URL: redirect targets carry signatures in their query.
func (r *Repository) fail(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	op = r.name + ": " + op
	var coded *reason.Error
	var answer *errcode.ErrorResponse
	switch {
	case errors.As(err, &coded):
		return fmt.Errorf("%s: %w", op, err)
	case errors.Is(err, errdef.ErrNotFound):
		return reason.New(reason.Unreachable, "%s: %w", op, ErrNotFound)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return reason.New(reason.Unreachable, "%s: the registry asks for a password and the Docker configuration has none for this host; %w", op, ErrDenied)
	case errors.As(err, &answer):
		return statusError(op, answer.StatusCode, answer.Errors)
	}
	return transportError(ctx, op, err)
}

func transportError(ctx context.Context, op string, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errTooSlow) || errors.Is(cause, errDeadline) {
		return reason.New(reason.TooSlow, "%s: %w", op, cause)
	}
	if cause != nil {
		return fmt.Errorf("%s: %w", op, cause) // the caller stopped it
	}
	// A timeout of the transport claims to be context.DeadlineExceeded. That would
	// tell our callers that they themselves were stopped, so its text has to do.
	code := reason.Unreachable
	var addressed *url.Error
	if errors.As(err, &addressed) {
		err = addressed.Err
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return reason.New(reason.Unreachable, "%s: %w; a private authority's certificate must be named as the CA file", op, err)
	}
	var dial *net.OpError
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		if !(errors.As(err, &dial) && dial.Op == "dial") {
			code = reason.TooSlow
		}
		return reason.New(code, "%s: %s", op, err)
	}
	return reason.New(code, "%s: %w", op, err)
}

// answerError reads the error that a registry put into resp and closes it.
func answerError(op string, resp *http.Response) error {
	defer resp.Body.Close()
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = json.Unmarshal(data, &body) // a page of a proxy is as good as none
	return statusError(op, resp.StatusCode, body.Errors)
}

// statusError maps an HTTP status to a reason (OCI Distribution Spec 1.1,
// Error Codes, and RFC 9110 section 15).
func statusError(op string, status int, details errcode.Errors) error {
	said := ""
	if len(details) > 0 {
		said = fmt.Sprintf(": %q", clip(details[0].Code+": "+details[0].Message))
	}
	answer := fmt.Sprintf("the registry answered %d %s%s", status, http.StatusText(status), said)
	switch status {
	case http.StatusNotFound:
		return reason.New(reason.Unreachable, "%s: %w%s", op, ErrNotFound, said)
	case http.StatusUnauthorized, http.StatusForbidden:
		return reason.New(reason.Unreachable, "%s: %s; %w", op, answer, ErrDenied)
	case http.StatusPreconditionFailed, http.StatusConflict:
		return reason.New(reason.Conflict, "%s: %s", op, answer)
	case http.StatusRequestEntityTooLarge:
		return reason.New(reason.TooLarge, "%s: %s", op, answer)
	case http.StatusInsufficientStorage:
		return reason.New(reason.NoSpace, "%s: %s", op, answer)
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return reason.New(reason.Malformed, "%s: %s", op, answer)
	default:
		return reason.New(reason.Unreachable, "%s: %s", op, answer)
	}
}
