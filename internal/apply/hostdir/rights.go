package hostdir

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ofOthers are the capabilities that it takes to read and make the files of others.
var ofOthers = []struct {
	bit  int
	name string
}{
	{unix.CAP_CHOWN, "CAP_CHOWN"}, {unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
	{unix.CAP_FOWNER, "CAP_FOWNER"}, {unix.CAP_FSETID, "CAP_FSETID"}, {unix.CAP_SETFCAP, "CAP_SETFCAP"},
}

// rights are what this process may do with files.
type rights struct {
	uid, gid  uint32
	effective uint64
	setID     bool // may make a file that runs as its owner or group
}

func ownRights() (rights, error) {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return rights{}, fmt.Errorf("ask for this program's capabilities: %w", err)
	}
	setID, err := maySetID()
	return rights{
		uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()), setID: setID,
		effective: uint64(data[1].Effective)<<32 | uint64(data[0].Effective),
	}, err
}

// maySetID tries it on a file in memory: a service's filter of system calls may not
// let it (RestrictSUIDSGID of systemd).
func maySetID() (bool, error) {
	fd, err := unix.MemfdCreate("consign", unix.MFD_CLOEXEC)
	if err != nil {
		return false, fmt.Errorf("make a file in memory: %w", err)
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, unix.S_ISUID|0o600) == nil, nil
}

// lack names a capability, or a setting of the service, without which an entry cannot
// be put back as it is.
func (r rights) lack(e *entry) string {
	if e.kind() != unix.S_IFLNK && e.stat.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && !r.setID {
		return "RestrictSUIDSGID=no"
	}
	if e.kind() == unix.S_IFCHR || e.kind() == unix.S_IFBLK {
		return r.without(unix.CAP_MKNOD, "CAP_MKNOD")
	}
	if e.stat.Uid == r.uid && e.stat.Gid == r.gid {
		return ""
	}
	for _, c := range ofOthers {
		if name := r.without(c.bit, c.name); name != "" {
			return name
		}
	}
	return ""
}

func (r rights) without(bit int, name string) string {
	if r.effective&(1<<bit) != 0 {
		return ""
	}
	return name
}
