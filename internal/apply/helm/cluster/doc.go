// Package cluster makes a Kubernetes run the render of a chart, looks at what runs
// and takes it away: the tasks of applier-helm that touch a cluster.
//
// The cluster receives exactly the render that was checked. Helm's own upgrade
// would render again and merge three versions of each object, of which one lies in
// a Secret that whoever administers the cluster can write. So Helm is given a chart
// that holds the render as a literal (chart.go), its record of the release is made
// from the last good render (record.go) and read from nowhere else (ledger.go), what
// still differs afterwards is replaced (straight.go), and what does not belong there
// goes (inventory.go). A former version comes back by applying its render again; Helm's
// rollback is not used.
//
// What is whose is told by the label task.LabelDeployment and by Helm's annotation
// with the name of the release, never by names or by Helm's record alone.
//
// The trap: controllers change and add objects all the time. drift.go says which
// of that is nobody's doing.
package cluster
