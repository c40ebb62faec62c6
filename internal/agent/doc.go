// Package agent is the device's side: it observes what its operator signed,
// decides whether it may be done, and acts, in that order and never otherwise.
//
// One cycle is [Agent.Sync]: refresh the deployment channel from the pinned
// root, then the release channels that its policy names; verify each order;
// fetch what a verdict names into the content store; render it in a sandbox;
// check the render against the policy's grants; write the intent to the device
// log; apply; write the outcome. Whatever fails, the application that runs is
// left alone until the last of these steps. What fails on the machine is followed
// by a return to the last good version ([verify.Recall]), and [Agent.Watch] keeps
// what runs as it was applied, with or without a network.
//
// The state directory (0700) holds:
//
//	device.json     which device this is and which channel it obeys
//	installed.json  what was applied, per Margo deployment id
//	approved.json   the desired state that a person at the device approved, if it asks for that
//	time.json       the latest signed time seen: a floor under the clock
//	log.key         the device's Ed25519 log key; its public half is what auditors trust
//	secrets.key     the key under which it is noticed that a secret has changed
//	log/            the Merkle log of decisions
//	operator/       trusted metadata of the deployment channel
//	suppliers/      trusted metadata of each release channel, by name and root
//	store/          content, by digest
//	snapshots/      copies of volumes, by deployment, while an update is not settled
//	lock            held by the process that works on the directory
package agent
