// Package fault marks the places where a program may be stopped by a test.
//
// Every durable write, engine call and network read of ours passes through
// [Point]. In an ordinary build Point is a constant nil that the compiler
// removes. Built with the tag "faults", a program reads CONSIGN_FAULT and
// fails, stalls or kills itself at the named point; see on.go. The tag adds
// stopping points only: it takes no check away.
package fault
