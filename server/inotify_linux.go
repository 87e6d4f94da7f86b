package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// notifier has the kernel tell of changes in the folders of files (inotify), and
// wakes the Watches that follow them. The zero value tells nothing.
type notifier struct {
	table *timetable
	fd    *os.File // nil where the kernel tells nothing

	mu    sync.Mutex
	dirs  map[string]*watchedFolder
	byWD  map[int32][]*watchedFolder
	ways  map[string][]spot // wayTo's, until the next event
	turn  uint64            // counts events of links
	fault map[string]bool   // logged
	here  string            // the working directory
}

// watchedFolder is one folder, by the path that leads to it.
type watchedFolder struct {
	path      string
	wd        int32 // -1 where the kernel does not tell
	turn      uint64
	lost      bool                  // not there
	followers map[string][]follower // by name in the folder; "" is all of them
}

// follower is who is to hear of a name, and how it calls that; without a path it is a
// symbolic link on the way.
type follower struct {
	w    *Watch
	path string
}

// hook is one thing that a Watch follows: a name in a folder, or "" for all.
type hook struct {
	dir  *watchedFolder
	name string
}

// spot is a name in a folder.
type spot struct{ dir, name string }

const (
	maskArrived = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO
	maskGone    = unix.IN_DELETE | unix.IN_MOVED_FROM
	maskSelf    = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED
	maskAll     = maskArrived | maskGone | unix.IN_CREATE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF |
		unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK
	maxLinks = 40 // in one path, as the kernel has it
)

// open begins to listen.
func (n *notifier) open() {
	n.dirs, n.byWD = make(map[string]*watchedFolder), make(map[int32][]*watchedFolder)
	n.ways, n.fault = make(map[string][]spot), make(map[string]bool)
	if n.table.server.polling {
		return
	}
	// Without it, relative paths are looked at from time to time.
	n.here, _ = os.Getwd()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		n.complain("", fmt.Errorf("inotify: %w: raise fs.inotify.max_user_instances", err))
		return
	}
	n.fd = os.NewFile(uintptr(fd), "inotify")
	go n.read(n.fd)
}

// close ends all that open began.
func (n *notifier) close() {
	if n.fd != nil {
		n.fd.Close()
	}
}

// complain says once that the kernel does not tell, and why.
func (n *notifier) complain(dir string, err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || n.fault[err.Error()] {
		return
	}
	n.fault[err.Error()] = true
	n.table.server.log.Warn("the system does not tell of changed files here: they are looked at from time to time",
		"folder", dir, "error", err)
}

// follow has the kernel tell of all that w follows now, in place of what it
// followed. told says that it does; lost, that some folder is not there; more,
// that it tells of a folder that it did not tell of before.
func (n *notifier) follow(w *Watch) (told, lost, more bool) {
	if n.fd == nil {
		return false, false, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	old := w.hooks
	n.unhook(w)
	told = true
	add := func(s spot, path string) {
		d := n.dir(s.dir)
		if slices.Contains(d.followers[s.name], follower{w, path}) {
			return
		}
		fresh, err := n.ask(d)
		if err != nil {
			n.complain(s.dir, err)
		}
		told, lost, more = told && err == nil, lost || d.lost, more || fresh
		w.hooks = append(w.hooks, hook{d, s.name})
		d.followers[s.name] = append(d.followers[s.name], follower{w, path})
	}
	for _, f := range w.folders {
		dir := n.absolute(f)
		for _, s := range n.wayTo(dir, 0) {
			add(s, "")
		}
		add(spot{dir, ""}, f)
	}
	for _, f := range w.files {
		dir, name := filepath.Dir(n.absolute(f)), filepath.Base(f)
		for _, s := range n.wayTo(dir, 0) {
			add(s, "")
		}
		add(spot{dir, name}, f)
		n.wayOn(dir, name, f, add)
	}
	n.forget(old)
	return told, lost, more
}

func (n *notifier) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(n.here, path)
}

func (n *notifier) dir(path string) *watchedFolder {
	d := n.dirs[path]
	if d == nil {
		d = &watchedFolder{path: path, wd: -1, followers: make(map[string][]follower)}
		n.dirs[path] = d
	}
	return d
}

// control calls f with the descriptor, unless it is closed.
func (n *notifier) control(f func(fd int) error) error {
	raw, err := n.fd.SyscallConn()
	if err != nil {
		return err
	}
	closed := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(closed, err)
}

// ask has the kernel tell of a folder; fresh says that it did not before, or told
// of another one.
func (n *notifier) ask(d *watchedFolder) (fresh bool, err error) {
	if d.wd >= 0 && d.turn == n.turn {
		return false, nil
	}
	wd := int32(-1)
	if err = tells(d.path); err == nil {
		err = n.control(func(fd int) error {
			got, err := unix.InotifyAddWatch(fd, d.path, maskAll)
			wd = int32(got)
			return err
		})
	}
	switch {
	case errors.Is(err, unix.ENOSPC):
		err = fmt.Errorf("inotify: %w: raise fs.inotify.max_user_watches", err)
	case err != nil:
		err = fmt.Errorf("inotify: %w", err)
	}
	d.turn, d.lost = n.turn, errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	if wd == d.wd {
		return false, err
	}
	n.release(d)
	if d.wd = wd; wd >= 0 {
		n.byWD[wd] = append(n.byWD[wd], d)
	}
	return wd >= 0, err
}

// release has the kernel tell of a folder no more, unless another path leads
// there.
func (n *notifier) release(d *watchedFolder) {
	if d.wd < 0 {
		return
	}
	rest := without(n.byWD[d.wd], d)
	if n.byWD[d.wd] = rest; len(rest) == 0 {
		delete(n.byWD, d.wd)
		wd := uint32(d.wd)
		// It may be gone by itself.
		_ = n.control(func(fd int) error {
			_, err := unix.InotifyRmWatch(fd, wd)
			return err
		})
	}
	d.wd = -1
}

func without(all []*watchedFolder, one *watchedFolder) []*watchedFolder {
	return slices.DeleteFunc(slices.Clone(all), func(d *watchedFolder) bool { return d == one })
}

// unhook has w hear of nothing.
func (n *notifier) unhook(w *Watch) {
	for _, h := range w.hooks {
		rest := slices.DeleteFunc(h.dir.followers[h.name], func(f follower) bool { return f.w == w })
		if h.dir.followers[h.name] = rest; len(rest) == 0 {
			delete(h.dir.followers, h.name)
		}
	}
	w.hooks = nil
}

// forget lets go of the folders that nobody follows any more.
func (n *notifier) forget(hooks []hook) {
	for _, h := range hooks {
		if d := h.dir; len(d.followers) == 0 && n.dirs[d.path] == d {
			n.release(d)
			delete(n.dirs, d.path)
		}
	}
}

// wayTo are the symbolic links in the path of a folder.
func (n *notifier) wayTo(dir string, depth int) []spot {
	if way, ok := n.ways[dir]; ok {
		return way
	}
	var way []spot
	if parent, name := filepath.Dir(dir), filepath.Base(dir); parent != dir {
		way = append(way, n.wayTo(parent, depth)...)
		if to, err := os.Readlink(dir); err == nil && depth < maxLinks {
			way = append(way, spot{parent, name})
			if !filepath.IsAbs(to) {
				to = filepath.Join(parent, to)
			}
			way = append(way, n.wayTo(to, depth+1)...)
		}
	}
	n.ways[dir] = way
	return way
}

// wayOn adds what is behind the name of a file that is a link: files are called
// as the link is.
func (n *notifier) wayOn(dir, name, path string, add func(s spot, path string)) {
	for range maxLinks {
		to, err := os.Readlink(filepath.Join(dir, name))
		if err != nil {
			return
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		dir, name = filepath.Dir(to), filepath.Base(to)
		for _, s := range n.wayTo(dir, 0) {
			add(s, "")
		}
		add(spot{dir, name}, path)
	}
}

// read takes in what the kernel tells until fd is closed.
func (n *notifier) read(fd *os.File) {
	buffer := make([]byte, 1<<16)
	for {
		size, err := fd.Read(buffer)
		if err != nil {
			return
		}
		n.take(buffer[:size], time.Now())
	}
}

// take sorts events out. The timetable wakes once for all of them.
func (n *notifier) take(events []byte, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.ways)
	c := n.table
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		number := func(at int) uint32 { return binary.NativeEndian.Uint32(events[at:]) }
		wd, mask, end := int32(number(0)), number(4), unix.SizeofInotifyEvent+int(number(12))
		name := strings.TrimRight(string(events[unix.SizeofInotifyEvent:end]), "\x00")
		events = events[end:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			for _, w := range c.watches {
				w.lookAt(now.Add(watchSettle))
				c.hasten(w)
			}
			continue
		}
		for _, d := range n.byWD[wd] {
			if mask&maskSelf != 0 {
				n.lose(d, mask, now)
			} else {
				n.tell(d, name, mask, now)
			}
		}
	}
}

// lose notes that a folder is gone from where it was.
func (n *notifier) lose(d *watchedFolder, mask uint32, now time.Time) {
	if mask&unix.IN_MOVE_SELF != 0 {
		n.release(d)
	}
	delete(n.byWD, d.wd)
	d.wd = -1
	for _, followers := range d.followers {
		for _, f := range followers {
			f.w.blind = true
			f.w.lookAt(now.Add(watchSettle))
			n.table.hasten(f.w)
		}
	}
}

// tell passes an event on to whoever follows the name.
func (n *notifier) tell(d *watchedFolder, name string, mask uint32, now time.Time) {
	ev := event{at: now.Add(watchCalm), firm: true}
	if mask&maskGone != 0 {
		ev.at, ev.firm = now.Add(watchSettle), false
	} else {
		ev.link, ev.half = look(filepath.Join(d.path, name))
		ev.half = ev.half && mask&unix.IN_CREATE != 0
	}
	for _, f := range d.followers[name] {
		n.report(f.w, f.path, ev, now)
	}
	for _, f := range d.followers[""] {
		n.report(f.w, filepath.Join(f.path, name), ev, now)
	}
}

// event is what happened to one name.
type event struct {
	at   time.Time // when to tell
	firm bool
	link bool // a symbolic link is there
	half bool // a file that is about to be written is there
}

func (n *notifier) report(w *Watch, path string, ev event, now time.Time) {
	if ev.half {
		// It is heard of again when it is closed; as long as that takes, it is
		// looked at as it would be without us.
		ev.at, ev.firm = now.Add(max(watchCalm, w.interval)), false
	}
	if path == "" || ev.link {
		n.turn++
		w.blind = true
	}
	if path != "" {
		w.hear(path, ev.at, ev.firm)
	} else {
		w.lookAt(ev.at)
	}
	n.table.hasten(w)
}

// look says what is at a path: a symbolic link, or a file with that name alone,
// as one has that was made to be written. A second name is there whole.
func look(path string) (link, single bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return false, false
	}
	kind := st.Mode & unix.S_IFMT
	return kind == unix.S_IFLNK, kind == unix.S_IFREG && st.Nlink == 1
}

var errNoNews = errors.New("a file system on which others may change files unheard")

// tells says whether all changes on the file system of a folder pass through this
// kernel: not so over networks and from the host of a virtual machine.
func tells(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.RAMFS_MAGIC,
		unix.OVERLAYFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.REISERFS_SUPER_MAGIC, unix.SQUASHFS_MAGIC,
		unix.MSDOS_SUPER_MAGIC, unix.EROFS_SUPER_MAGIC_V1, unix.BCACHEFS_SUPER_MAGIC, zfsMagic:
		return nil
	}
	return errNoNews
}

const zfsMagic = 0x2fc12fc1
