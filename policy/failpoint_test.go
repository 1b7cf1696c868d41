package policy_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/fs"
	"github.com/assay-registry/assay/store/storetest"
	"github.com/assay-registry/assay/verify"
)

// What a process is told that is to be killed: where it stores, at which of its points it ends (0: none), and the signer's key.
const (
	failDir   = "ASSAY_TEST_FAIL_DIR"
	failPoint = "ASSAY_TEST_FAIL_POINT"
	failKey   = "ASSAY_TEST_FAIL_KEY"
)

// TestE2_KilledAtEachPoint has a process play the story and kills it, as kill -9 does, before an operation of the file system or at a step of a commit: before it is submitted, when
// its check has passed, before and after its writes are applied, and when it is durable but nobody knows. What was acknowledged is there for the next process, what was not is whole or not there, and the
// story goes on to the same end. In the long run that is done at each point three times, else at some.
func TestE2_KilledAtEachPoint(t *testing.T) {
	if dir := os.Getenv(failDir); dir != "" {
		playUntilKilled(t, dir)
		return
	}
	states := expected(t)
	total := 0
	if acked, points := killed(t, newFailure(t), 0); acked != len(states)-1 || points < 100 {
		t.Fatalf("%d steps were acknowledged and %d points passed without a kill", acked, points)
	} else {
		total = points
	}
	times, each := 1, max(total/40, 1)
	if os.Getenv("ASSAY_TEST_LONG") != "" {
		times, each = 3, 1
	}
	kills := 0
	for range times {
		for point := 1 + each/2; point <= total && !t.Failed(); point += each {
			t.Run(fmt.Sprint(point), func(t *testing.T) {
				f := newFailure(t)
				acked, _ := killed(t, f, point)
				f.goOn(fmt.Sprintf("killed after %d steps", acked), states, acked)
			})
			kills++
		}
	}
	t.Logf("%d kills at %d points", kills, total)
}

// failure is a story on disk, and the process after the one that was killed.
type failure struct {
	*story
	dir  string
	disk *fs.Blobs
	meta *bolt.KV
}

func newFailure(t *testing.T) *failure {
	dir, err := os.MkdirTemp("/dev/shm", "assay-test-") // thousands of files that nobody keeps
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return newStoryIn(t, dir)
}

// newStoryIn closes what it opened after the kit has checked it.
func newStoryIn(t *testing.T, dir string) *failure {
	f := &failure{dir: dir}
	t.Cleanup(f.close)
	f.story = newStory(newKit(t))
	return f
}

// open has the story on disk, by whatever is between.
func (f *failure) open(on fs.FS, at func()) {
	f.t.Helper()
	var err error
	if f.disk, err = fs.Open(filepath.Join(f.dir, "data"), fs.Options{FS: on, Now: f.clock.now, Fatal: func(err error) { f.t.Error(err) }}); err != nil {
		f.t.Fatal(err)
	}
	if f.meta, err = bolt.Open(filepath.Join(f.dir, "meta.db"), bolt.Options{Fatal: func(err error) { f.t.Error(err) }}); err != nil {
		f.t.Fatal(err)
	}
	f.blobs, f.kv = f.disk, pointedKV{f.meta, at}
	f.opts.Authorities = []verify.Authority{f.key.authority("release", "acme/**")}
	f.start()
}

func (f *failure) close() {
	if f.meta == nil {
		return // another process had it
	}
	if err := f.disk.Close(); err != nil {
		f.t.Error(err)
	}
	if err := f.meta.Close(); err != nil {
		f.t.Error(err)
	}
}

// goOn is the next process: it finds what was acknowledged, and plays the rest.
func (f *failure) goOn(label string, states [][]string, acked int) {
	f.t.Helper()
	f.clock.advance(time.Hour)
	f.open(storetest.NoSync(), func() {})
	f.check()
	got := f.seen()
	if !slices.Equal(got, states[acked]) && (acked == len(states)-1 || !slices.Equal(got, states[acked+1])) {
		f.t.Errorf("%s:\n%q\nis seen, neither\n%q\nnor what comes after", label, got, states[acked])
	}
	for i, step := range f.steps[acked:] {
		if err := step.do(); err != nil {
			f.t.Errorf("%s: %q: %v", label, step.name, err)
		}
		if got := f.seen(); !slices.Equal(got, states[acked+i+1]) {
			f.t.Errorf("%s: after %q\n%q\nis seen, not\n%q", label, step.name, got, states[acked+i+1])
		}
	}
	f.check()
}

// killed has a process play, and says how many steps it acknowledged and, if it came to its end, how many points it passed.
func killed(t *testing.T, f *failure, point int) (acked, points int) {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(f.key.private)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestE2_KilledAtEachPoint$")
	cmd.Env = append(os.Environ(), failDir+"="+f.dir, failPoint+"="+strconv.Itoa(point), failKey+"="+hex.EncodeToString(der))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := []string{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		switch what, n, _ := strings.Cut(lines.Text(), " "); what {
		case "acknowledged":
			acked++
		case "points":
			points, _ = strconv.Atoi(n)
		}
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); point > 0 && points == 0 && (!ok || !status.Signaled() || status.Signal() != syscall.SIGKILL) || points > 0 && err != nil {
		t.Fatalf("point %d: %v\n%s", point, err, strings.Join(said, "\n"))
	}
	return acked, points
}

// playUntilKilled is the process that is killed.
func playUntilKilled(t *testing.T, dir string) {
	point, err := strconv.Atoi(os.Getenv(failPoint))
	if err != nil {
		t.Fatal(err)
	}
	der, err := hex.DecodeString(os.Getenv(failKey))
	if err != nil {
		t.Fatal(err)
	}
	f := newStoryIn(t, dir)
	private, err := x509.ParseECPrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	f.key = keyOf(t, private)
	passed := 0
	at := func() {
		if passed++; passed == point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	f.open(&storetest.FaultFS{FS: storetest.NoSync(), Decide: func(int, string, string) storetest.Fault {
		at()
		return storetest.Fault{}
	}}, at)
	for i, step := range f.steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		fmt.Println("acknowledged", i)
	}
	fmt.Println("points", passed)
}

// pointedKV passes a point at each step of a commit.
type pointedKV struct {
	store.KV
	at func()
}

func (kv pointedKV) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	kv.at()
	err := kv.KV.Update(ctx, func(tx store.ReadTx) error {
		if check != nil {
			if err := check(tx); err != nil {
				return err
			}
		}
		kv.at()
		return nil
	}, func(tx store.Tx) {
		kv.at()
		if apply != nil {
			apply(tx)
		}
		kv.at()
	})
	kv.at()
	return err
}
