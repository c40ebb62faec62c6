package tufclient

import (
	"fmt"
	"strconv"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// escape writes every byte of name that keep refuses as %XX.
func escape(name string, keep func(byte) bool) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if keep(c) {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
	}
	return b.String()
}

func lowerOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// diskName encodes a role name for a file name. Capitals are encoded as well,
// so two roles never meet on a file system that folds case, and so are dots.
func diskName(role string) string {
	return escape(role, func(c byte) bool { return lowerOrDigit(c) || c == '-' || c == '_' })
}

// FileName returns the name under which a repository keeps a version of the
// document of a role, as one URL path segment (TUF 1.0.34 section 7,
// consistent snapshots): "3.deploy.json". The name of a timestamp has no
// version, and neither has any other when version is 0. Bytes other than the
// unreserved ones of RFC 3986 are percent-encoded.
func FileName(role string, version int64) string {
	name := escape(role, func(c byte) bool {
		return lowerOrDigit(c) || c >= 'A' && c <= 'Z' || strings.IndexByte("-_.~", c) >= 0
	})
	if role == "timestamp" || version == 0 {
		return name + ".json"
	}
	return strconv.FormatInt(version, 10) + "." + name + ".json"
}

// quoteRole is a role name as messages show it: plain when it is harmless.
func quoteRole(role string) string {
	if role != "" && diskName(role) == role {
		return role
	}
	return strconv.Quote(role)
}

func versioned(role string, version int64) string {
	return fmt.Sprintf("%s version %d", quoteRole(role), version)
}

// roleOfFile is the inverse of how snapshots name files.
func roleOfFile(name string) (string, bool) { return strings.CutSuffix(name, ".json") }

// quoteFile is a file name of a snapshot as messages show it.
func quoteFile(name string) string {
	role, ok := roleOfFile(name)
	if ok && quoteRole(role) == role {
		return name
	}
	return strconv.Quote(name)
}
