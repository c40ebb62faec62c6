// Package keyless signs releases as pipelines and people without keys do, with a
// real private Sigstore, and lets devices judge them. It has tests only.
package keyless
