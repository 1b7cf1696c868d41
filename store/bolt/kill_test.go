package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
)

// TestE1_KillDuringCommits kills a process that writes from eight goroutines and says what was acknowledged, again and again on the same file.
func TestE1_KillDuringCommits(t *testing.T) {
	const child = "ASSAY_TEST_KILL"
	if path := os.Getenv(child); path != "" {
		writeForever(path)
		return
	}
	path := filepath.Join(t.TempDir(), "meta.db")
	acked := map[string]bool{}
	for round := range 10 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestE1_KillDuringCommits$")
		cmd.Env = append(os.Environ(), child+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			key, whole := strings.CutSuffix(lines.Text(), ".") // the last line may be torn
			if !whole || !strings.Contains(key, "/") {
				continue
			}
			acked[key] = true
			if n == 20*round+10 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed, as it should be
		kv := open(t, path, bolt.Options{})
		for key := range acked {
			if get(t, kv, key) != "acknowledged" {
				t.Errorf("round %d: %s is lost", round, key)
			}
		}
		if err := kv.Check(context.Background()); err != nil {
			t.Error(err)
		}
		shut(t, kv)
	}
	if len(acked) < 1000 {
		t.Errorf("only %d commits were acknowledged", len(acked))
	}
}

// writeForever prints each key once it is acknowledged.
func writeForever(path string) {
	kv, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%d/%d/%d", os.Getpid(), w, n)
				err := kv.Update(context.Background(), nil, func(tx store.Tx) { tx.Put([]byte(key), []byte("acknowledged")) })
				if err != nil {
					return
				}
				if _, err := os.Stdout.WriteString(key + ".\n"); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}
