// Package replay asks the verifier again what a device once asked it, with the
// same inputs, and compares the answers.
//
// The functions are those of internal/verify and internal/tufclient and no
// others: a replay has no rule of its own. What it is given is an inputs
// document (internal/inputs), the bytes that this names, and an operator root
// from somebody who is to be believed. No agent may import this package: a
// device judges anew and never takes an answer from its own disk.
//
// The template engine is not run again. A render is an input of the last step,
// which checks it whole.
package replay
