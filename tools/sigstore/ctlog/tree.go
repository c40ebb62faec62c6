package main

import (
	"context"
	"log"
	"net"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/client"
	"github.com/google/trillian/extension"
	tlog "github.com/google/trillian/log"
	"github.com/google/trillian/monitoring"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/server/interceptor"
	"github.com/google/trillian/storage/memory"
	"github.com/google/trillian/util/clock"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
)

// sequenceInterval is how often waiting entries are put into the tree. Nobody
// waits for it: the promise of an SCT is given at once.
const sequenceInterval = 200 * time.Millisecond

// tree is one log tree and the client by which CTFE reaches it.
type tree struct {
	id     int64
	client trillian.TrillianLogClient
}

// newTree starts Trillian and makes one tree in it. CTFE speaks gRPC to
// Trillian; both ends are in this process, so no port is needed.
func newTree(ctx context.Context) (tree, error) {
	storage := memory.NewTreeStorage()
	registry := extension.Registry{
		AdminStorage:  memory.NewAdminStorage(storage),
		LogStorage:    memory.NewLogStorage(storage, monitoring.InertMetricFactory{}),
		QuotaManager:  quota.Noop(),
		MetricFactory: monitoring.InertMetricFactory{},
	}
	conn, err := grpc.NewClient("passthrough:///trillian", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dialer(serveTrillian(registry))))
	if err != nil {
		return tree{}, err
	}
	info := tlog.OperationInfo{Registry: registry, BatchSize: 100, NumWorkers: 1, RunInterval: sequenceInterval, TimeSource: clock.System}
	go tlog.NewOperationManager(info, tlog.NewSequencerManager(registry, 0)).OperationLoop(ctx)

	logs := trillian.NewTrillianLogClient(conn)
	made, err := client.CreateAndInitTree(ctx, &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeState:       trillian.TreeState_ACTIVE,
		TreeType:        trillian.TreeType_LOG,
		DisplayName:     "ctlog",
		MaxRootDuration: durationpb.New(time.Hour),
	}}, trillian.NewTrillianAdminClient(conn), logs)
	if err != nil {
		return tree{}, err
	}
	return tree{id: made.TreeId, client: logs}, nil
}

// serveTrillian serves the log and admin services on a listener in memory.
func serveTrillian(registry extension.Registry) *bufconn.Listener {
	s := grpc.NewServer(grpc.UnaryInterceptor(interceptor.ErrorWrapper))
	trillian.RegisterTrillianAdminServer(s, admin.New(registry, nil))
	trillian.RegisterTrillianLogServer(s, server.NewTrillianLogRPCServer(registry, clock.System))
	l := bufconn.Listen(1 << 20)
	go func() { log.Fatal(s.Serve(l)) }()
	return l
}

func dialer(l *bufconn.Listener) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
}
