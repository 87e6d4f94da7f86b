package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// stateLab has the directives state FILE and use, which keeps a Bucket.
type stateLab struct {
	*lab
	mu      sync.Mutex
	buckets []*Bucket // of the configurations that started, in order
	atStart func(*Bucket)
	atStop  func(*Bucket)
}

func newStateLab() *stateLab { return &stateLab{lab: newLab()} }

func (l *stateLab) add(o *Options) {
	use := func(d *Directive) (Handler, error) {
		b := d.Bucket()
		d.OnStart(func() {
			l.mu.Lock()
			l.buckets = append(l.buckets, b)
			l.mu.Unlock()
			if l.atStart != nil {
				l.atStart(b)
			}
		})
		d.OnStop(func() {
			if l.atStop != nil {
				l.atStop(b)
			}
		})
		return nil, nil
	}
	o.Plugins = append(o.Plugins,
		Plugin{Name: "state", Usage: "state FILE", Setup: func(d *Directive) (Handler, error) {
			d.Next()
			return nil, d.UseState(d.Path(d.RemainingArgs()[0]))
		}},
		Plugin{Name: "use", Setup: use},
		Plugin{Name: "other", Setup: func(d *Directive) (Handler, error) {
			b := d.Bucket()
			d.OnStart(func() {
				if v, err := b.Get("k"); v != nil || err != nil {
					panic(fmt.Sprint("another plugin's value: ", v, err))
				}
			})
			return nil, nil
		}},
	)
}

// bucket is that of the last configuration that started.
func (l *stateLab) bucket() *Bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buckets[len(l.buckets)-1]
}

func put(t testing.TB, b *Bucket, key, value string) {
	t.Helper()
	if err := b.Put(key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

// wantValue compares the value at key; "" is none.
func wantValue(t testing.TB, b *Bucket, key, want string) {
	t.Helper()
	got, err := b.Get(key)
	if err != nil || string(got) != want || (got == nil) != (want == "") {
		t.Errorf("%s is %q, %v, want %q", key, got, err, want)
	}
}

func stateConf(file string) string {
	line := ""
	if file != "" {
		line = " state " + file + "\n"
	}
	return ".:0 {\n bind 127.0.0.1\n use\n other\n" + line + "}\n"
}

// Values are copies, deleted by nil, and stay over reloads, in memory and in a file.
func TestBucket(t *testing.T) {
	for _, file := range []string{"", "stampdns.state"} {
		t.Run("file "+file, func(t *testing.T) {
			l := newStateLab()
			s, path := l.startFile(t, stateConf(file), l.add)
			b := l.bucket()
			if b.Lasts() != (file != "") || filepath.Base(s.StateFile()) != filepath.Base(file) && file != "" || file == "" && s.StateFile() != "" {
				t.Errorf("lasts: %v, file %q", b.Lasts(), s.StateFile())
			}
			wantValue(t, b, "k", "")
			value := []byte("one")
			if err := b.Put("k", value); err != nil {
				t.Fatal(err)
			}
			value[0] = 'X'
			wantValue(t, b, "k", "one")
			got, _ := b.Get("k")
			got[0] = 'X'
			wantValue(t, b, "k", "one")
			if err := b.Put("empty", []byte{}); err != nil {
				t.Fatal(err)
			}
			if got, err := b.Get("empty"); got == nil || err != nil {
				t.Errorf("an empty value is %v, %v", got, err)
			}
			if err := errors.Join(b.Put("gone", []byte("x")), b.Put("gone", nil), b.Put("never", nil)); err != nil {
				t.Fatal(err)
			}
			wantValue(t, b, "gone", "")
			for _, key := range []string{"", strings.Repeat("x", maxStateKey+1)} {
				_, err := b.Get(key)
				if err != errStateKey || b.Put(key, value) != errStateKey {
					t.Errorf("a key of %d octets: %v", len(key), err)
				}
			}
			write(t, path, stateConf(file)+"# another\n")
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
			if l.bucket() == b {
				t.Fatal("no new configuration")
			}
			wantValue(t, l.bucket(), "k", "one")
			put(t, b, "k", "late") // by a request that the configuration before has still
			wantValue(t, l.bucket(), "k", "late")
		})
	}
}

// Before the start there is nothing to read; in OnStart and OnStop there is.
func TestBucketLife(t *testing.T) {
	l := newStateLab()
	dir := t.TempDir()
	l.atStart = func(b *Bucket) { put(t, b, "start", "was") }
	l.atStop = func(b *Bucket) { put(t, b, "stop", "was") }
	early := &Bucket{new(stateUse), "use"}
	if _, err := early.Get("k"); err != errStateEarly || early.Put("k", nil) != errStateEarly {
		t.Error(err)
	}
	s := l.start(t, stateConf(filepath.Join(dir, "s")), l.add)
	b := l.bucket()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get("k"); !errors.Is(err, errStateClosed) {
		t.Errorf("after the end: %v", err)
	}
	l.atStart = nil
	l.start(t, stateConf(filepath.Join(dir, "s")), l.add)
	wantValue(t, l.bucket(), "start", "was")
	wantValue(t, l.bucket(), "stop", "was")
}

// From one file to the next and back, while the first is still in use.
func TestStateOtherFile(t *testing.T) {
	l := newStateLab()
	s, path := l.startFile(t, stateConf("a"), l.add)
	first := l.bucket()
	put(t, first, "k", "in a")
	conf := func(file string) {
		t.Helper()
		write(t, path, stateConf(file))
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	conf("b")
	wantValue(t, l.bucket(), "k", "")
	put(t, l.bucket(), "k", "in b")
	conf("a")
	wantValue(t, l.bucket(), "k", "in a")
	// Another way to the same file is the same file.
	if err := os.Symlink("a", filepath.Join(filepath.Dir(path), "link")); err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	} else if err == nil {
		conf("link")
		wantValue(t, l.bucket(), "k", "in a")
	}
	conf("b")
	wantValue(t, l.bucket(), "k", "in b")
	eventually(t, "the first file is closed", func() bool {
		_, err := first.Get("k")
		return errors.Is(err, errStateClosed)
	})
	eventually(t, "only the last file is open", func() bool {
		s.states.mu.Lock()
		defer s.states.mu.Unlock()
		return len(s.states.files) == 1
	})
}

// A file that was moved away is not written to any more after a reload.
func TestStateMovedAway(t *testing.T) {
	l := newStateLab()
	s, path := l.startFile(t, stateConf("a"), l.add)
	put(t, l.bucket(), "k", "old")
	file := s.StateFile()
	if runtime.GOOS == "windows" {
		t.Skip("an open file can't be renamed")
	}
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	write(t, path, stateConf("a"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	wantValue(t, l.bucket(), "k", "")
	put(t, l.bucket(), "k", "new")
}

// What was changed before there was a file goes into the first one, unless that
// has something.
func TestStateFromMemory(t *testing.T) {
	l := newStateLab()
	s, path := l.startFile(t, stateConf(""), l.add)
	put(t, l.bucket(), "k", "before")
	for _, tc := range [][2]string{{"a", "before"}, {"", ""}, {"a", "before"}} {
		write(t, path, stateConf(tc[0]))
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		wantValue(t, l.bucket(), "k", tc[1])
	}
	write(t, path, stateConf(""))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	put(t, l.bucket(), "k", "later")
	write(t, path, stateConf("a"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	wantValue(t, l.bucket(), "k", "before")
}

// A start or reload that can't have the file fails with its reason and place, and
// leaves the file as it is and nothing open.
func TestStateCannotOpen(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	l := newStateLab()
	s := l.start(t, stateConf(good), l.add)
	for i := range 100 {
		put(t, l.bucket(), strconv.Itoa(i), strings.Repeat("x", 1000))
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	pageSize := os.Getpagesize()
	mixed := bytes.Clone(whole)
	for i := 2 * pageSize; i < len(mixed); i++ {
		mixed[i] ^= 0x55
	}
	// What only a writer reads: where each of the two headers has the free pages.
	freeList := bytes.Clone(whole)
	for header := range 2 {
		page := int(binary.NativeEndian.Uint64(whole[header*pageSize+48:]))
		freeList[page*pageSize+8] ^= 0x55
	}
	for name, content := range map[string][]byte{
		"free list":  freeList,
		"text":       []byte("forwarders: 192.0.2.53\n"),
		"zeros":      make([]byte, 1<<16),
		"one page":   whole[:pageSize],
		"two pages":  whole[:2*pageSize],
		"half":       whole[:len(whole)/2/pageSize*pageSize],
		"mixed":      mixed,
		"no headers": append(make([]byte, 2*pageSize), whole[2*pageSize:]...),
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		err := l.newServer(t, l.add).Start(Corefile{Text: []byte(stateConf(path))})
		if err == nil || !strings.HasPrefix(err.Error(), "Corefile:5: state: state file "+path+" is damaged, or is no state file: move it away") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "half" && !strings.Contains(fmt.Sprint(err), "octets are there") {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file was changed: %v", name, err)
		}
		// The lock is gone, too.
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		again := l.newServer(t, l.add)
		if err := again.Start(Corefile{Text: []byte(stateConf(path))}); err != nil {
			t.Errorf("%s, repaired: %v", name, err)
			continue
		}
		wantValue(t, l.bucket(), "99", strings.Repeat("x", 1000))
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "s"): "there is no folder " + filepath.Join(dir, "none") + ": make it",
		dir:                             "state file: open " + dir + ": ",
	} {
		err := l.newServer(t, l.add).Start(Corefile{Text: []byte(stateConf(path))})
		if err == nil || !strings.HasPrefix(err.Error(), "Corefile:5: state: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	two := "a.:0 {\n state a\n}\nb.:0 {\n state b\n}\n"
	if err := l.newServer(t, l.add).Validate(Corefile{Text: []byte(two)}); err == nil ||
		err.Error() != "Corefile:5: state: the state is in a already by Corefile:2: the server has one state file, give it once" {
		t.Error(err)
	}
	if err := l.newServer(t, l.add).Validate(Corefile{Text: []byte(strings.ReplaceAll(two, "state b", "state a"))}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("Validate made the file")
	}
}

// Two servers do not share a file: the second one says why, and a reload to it
// leaves what was served.
func TestStateInUse(t *testing.T) {
	l := newStateLab()
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	l.start(t, stateConf(taken), l.add)
	if info, err := os.Stat(taken); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	s, path := newLab().startFile(t, ".:0 {\n bind 127.0.0.1\n mount 127.0.0.1:0 /x before\n}\n", newStateLab().add)
	write(t, path, ".:0 {\n bind 127.0.0.2\n mount 127.0.0.1:0 /x after\n state "+taken+"\n}\n")
	err := s.Reload()
	if err == nil || !strings.HasPrefix(err.Error(), path+":4: state: state file "+taken+": another process has it open") {
		t.Error(err)
	}
	if got := get(t, s, "127.0.0.1:0", "/x"); got != "before" {
		t.Error(got)
	}
}

// A start that fails for another reason gives the file back.
func TestStateGivenBack(t *testing.T) {
	l := newStateLab()
	file := filepath.Join(t.TempDir(), "s")
	conf := ".:0 {\n bind 127.0.0.1\n mount 192.0.2.200:0 /x y\n use\n state " + file + "\n}\n"
	if err := l.newServer(t, l.add).Start(Corefile{Text: []byte(conf)}); err == nil {
		t.Fatal("listens at an address that is not ours")
	}
	l.start(t, stateConf(file), l.add)
}

// A file cut short under the running server is an error, not its end, does not hold
// up what follows, and can be mended.
func TestStateCutShort(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file can't be cut")
	}
	l := newStateLab()
	conf := ".:0 {\n bind 127.0.0.1\n use\n say hello\n state s\n}\n"
	s, path := l.startFile(t, conf, l.add)
	b := l.bucket()
	for i := range 100 {
		put(t, b, strconv.Itoa(i), strings.Repeat("x", 1000))
	}
	whole, err := os.ReadFile(s.StateFile())
	if err == nil {
		err = os.Truncate(s.StateFile(), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := b.Get("50"); !errors.Is(err, errDamaged) {
			t.Errorf("get: %v", err)
		}
		if err := b.Put("50", []byte("y")); !errors.Is(err, errDamaged) {
			t.Errorf("put: %v", err)
		}
	}
	if got := text(t, ask(t, "udp", s.Addrs()[0], question("a."))); got != "hello" {
		t.Error(got)
	}
	// A reload takes up the file when it is whole again.
	write(t, path, conf)
	write(t, s.StateFile(), string(whole))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	wantValue(t, l.bucket(), "50", strings.Repeat("x", 1000))
}

// Writers and readers of many goroutines, over reloads.
func TestStateParallel(t *testing.T) {
	l := newStateLab()
	s, path := l.startFile(t, stateConf("s"), l.add)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 20 {
				key := strconv.Itoa(i)
				put(t, l.bucket(), key, fmt.Sprint("v", n))
				wantValue(t, l.bucket(), key, fmt.Sprint("v", n))
			}
		})
	}
	for range 5 {
		write(t, path, stateConf("s"))
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}

const stateChild = "STAMPDNS_TEST_STATE"

// TestStateChild is the other process of TestStateSurvivesKill: it writes numbers,
// and tells each that is written.
func TestStateChild(t *testing.T) {
	file := os.Getenv(stateChild)
	if file == "" {
		t.Skip("for TestStateSurvivesKill")
	}
	l := newStateLab()
	l.start(t, stateConf(file), l.add)
	for n := 1; ; n++ {
		put(t, l.bucket(), "n", strconv.Itoa(n))
		fmt.Printf("put %d\n", n)
	}
}

// A value that Put took is there after the process was killed.
func TestStateSurvivesKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	child := exec.Command(os.Args[0], "-test.run", "^TestStateChild$", "-test.v")
	child.Env = append(os.Environ(), stateChild+"="+file)
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	last, killed := 0, false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "put %d", &last); err == nil && last >= 20 && !killed {
			killed = true
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	child.Wait()
	if !killed {
		t.Fatal("the other process wrote nothing")
	}
	l := newStateLab()
	l.start(t, stateConf(file), l.add)
	got, err := l.bucket().Get("n")
	n, _ := strconv.Atoi(string(got))
	if err != nil || n != last && n != last+1 {
		t.Errorf("%q, %v; the last value told was %d", got, err, last)
	}
}
