package doctor

import (
	"fmt"

	"github.com/consign-dev/consign/internal/reason"
)

// lowShare is the share of a file system, in percent, under which a warning is
// due: the next release of an application may be larger than what is left.
const lowShare = 5

func disk(f Facts) []Finding {
	d := f.Disk
	if d.Err != nil {
		return []Finding{failed(CheckDisk, "state", d.Err, "see that the state directory's file system is mounted")}
	}
	out := judgeSpace("state", d.Space, d.Reserve)
	out.Figures["reserveBytes"] = d.Reserve
	if d.Unknown {
		return []Finding{out}
	}
	if d.StoreErr != nil {
		return []Finding{out, failed(CheckDisk, "store", d.StoreErr, "run this as the user of the agent; content that is damaged is fetched again by 'agent sync'")}
	}
	store := ok(CheckDisk, "store", fmt.Sprintf("%s of content, of which what is installed needs %s; %s of unfinished downloads", size(d.Content), size(d.Needed), size(d.Partial)))
	store.Figures = map[string]int64{"contentBytes": d.Content, "neededBytes": d.Needed, "partialBytes": d.Partial}
	return []Finding{out, store}
}

func judgeSpace(subject string, s Space, reserve int64) Finding {
	found := fmt.Sprintf("%s free of %s", size(s.Free), size(s.Total))
	out := ok(CheckDisk, subject, found)
	switch {
	case s.Free < reserve:
		out = fail(CheckDisk, subject, reason.NoSpace, fmt.Sprintf("%s, %s must stay free", found, size(reserve)), fmt.Sprintf("free at least %s there", size(reserve-s.Free)))
	case s.Total > 0 && s.Free*100/s.Total < lowShare:
		out = warn(CheckDisk, subject, found, "make room there before the next update needs it")
	}
	out.Figures = map[string]int64{"freeBytes": s.Free, "totalBytes": s.Total}
	return out
}

func engine(f Facts) []Finding {
	e := f.Engine
	if e.Address == "" {
		return nil
	}
	if e.Err != nil {
		return []Finding{failed(CheckEngine, e.Address, e.Err, "see that the engine runs ('systemctl status docker'), that its socket is the one that the configuration names, and that this user may use it")}
	}
	out := ok(CheckEngine, e.Address, fmt.Sprintf("version %s, API %s, storage driver %s, data in %s; it holds %d image(s) from here, %s",
		e.Version, e.APIVersion, e.Driver, e.DataRoot, e.Images, size(e.ImageBytes)))
	out.Figures = map[string]int64{"images": int64(e.Images), "imageBytes": e.ImageBytes}
	if e.Space == nil {
		return []Finding{out}
	}
	return []Finding{out, judgeSpace("engine", *e.Space, f.Disk.Reserve)}
}

func size(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
