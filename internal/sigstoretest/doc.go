// Package sigstoretest runs a private Sigstore on loopback for tests and the
// demo of keyless signing: an OpenID Connect issuer, Fulcio (certificates), a
// certificate transparency log, Rekor v2 (the log of signatures) and a
// timestamp authority. All are the real servers, built from tools/sigstore; only
// the login is left out, so that a test can be any job of any repository.
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		if err := sigstoretest.Close(); err != nil {
//			fmt.Fprintln(os.Stderr, err)
//			code = 1
//		}
//		os.Exit(code)
//	}
//
//	func TestX(t *testing.T) {
//		s := sigstoretest.Shared(t)
//		token, err := s.Mint(sigstoretest.GitHub, sigstoretest.GitHubClaims("acme/hello", "refs/heads/main"))
//		// sign with the token at s.Fulcio, s.Rekor, s.Timestamps;
//		// verify with s.TrustedRoot
//	}
//
// A package's tests share one stack, started by the first that asks. A write to
// Rekor takes about a second, alone or beside others: tests that sign in
// parallel wait once.
//
// # Several stacks on one machine
//
// Test packages run side by side, so nothing here has a fixed name or port.
// Every port is chosen by the kernel and kept from then on (see reserve). The
// metrics listeners, which upstream puts on every interface, get port 0 from
// Fulcio and Rekor: the kernel chooses and nobody asks. That of the timestamp
// authority cannot be moved from 2112, where a second one would end, so
// tools/sigstore/tsa serves upstream's handlers without it. A network namespace
// for each stack would do as well, but needs root and hides the servers from
// the test's own process; a lock would make packages wait for each other.
//
// # What is left behind
//
// Nothing: Stop ends every server and removes the directory. If the process is
// killed, the kernel kills its servers, and their directory of some 100 KiB stays
// in the temporary directory.
package sigstoretest
