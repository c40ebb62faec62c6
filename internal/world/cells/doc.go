// Package cells tells what happens to charts on a real Kubernetes beyond what all
// appliers share (internal/apply/applytest): what the cluster does by itself between
// two cycles, and attacks on the way from a chart to the cluster. It holds nothing
// but tests.
package cells
