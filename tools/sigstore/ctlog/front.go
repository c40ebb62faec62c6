package main

import (
	"context"
	"net/http"
	"time"

	"github.com/google/certificate-transparency-go/trillian/ctfe"
	"github.com/google/certificate-transparency-go/trillian/ctfe/configpb"
	"github.com/google/trillian/crypto/keys"
	"github.com/google/trillian/crypto/keys/der"
	"github.com/google/trillian/crypto/keyspb"
	"github.com/google/trillian/monitoring"
	"google.golang.org/protobuf/types/known/anypb"
)

// newFront is CTFE over one tree, signing with a key given as PKCS#8 DER. It
// takes certificates for signing code only, which is all that Fulcio issues.
func newFront(ctx context.Context, t tree, prefix, roots string, key []byte) (http.Handler, error) {
	keys.RegisterHandler(&keyspb.PrivateKey{}, der.FromProto)
	private, err := anypb.New(&keyspb.PrivateKey{Der: key})
	if err != nil {
		return nil, err
	}
	config, err := ctfe.ValidateLogConfig(&configpb.LogConfig{
		LogId:            t.id,
		Prefix:           prefix,
		RootsPemFile:     []string{roots},
		PrivateKey:       private,
		ExtKeyUsages:     []string{"CodeSigning"},
		MaxMergeDelaySec: int32((24 * time.Hour).Seconds()),
		LogBackendName:   "memory",
	})
	if err != nil {
		return nil, err
	}
	instance, err := ctfe.SetUpInstance(ctx, ctfe.InstanceOptions{
		Validated:     config,
		Client:        t.client,
		Deadline:      30 * time.Second,
		MetricFactory: monitoring.InertMetricFactory{},
		RequestLog:    new(ctfe.DefaultRequestLog),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for path, handler := range instance.Handlers {
		mux.Handle(path, handler)
	}
	return mux, nil
}
