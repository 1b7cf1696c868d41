package mem_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/store/storetest"
)

func TestKV(t *testing.T) {
	storetest.TestKV(t, func(*testing.T) store.KV { return mem.NewKV() })
}

// TestApplyPanicStops runs itself as a child: recover, as net/http has it, must not keep a process alive whose apply panicked.
func TestApplyPanicStops(t *testing.T) {
	const child = "ASSAY_TEST_APPLY_PANIC"
	if os.Getenv(child) != "" {
		defer func() { fmt.Println("recovered", recover()) }()
		err := mem.NewKV().Update(context.Background(), nil, func(store.Tx) { panic("half way") })
		fmt.Println("returned", err)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestApplyPanicStops$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "half way") || strings.Contains(string(out), "recovered") || strings.Contains(string(out), "returned") {
		t.Errorf("the process lived on: %v\n%s", err, out)
	}
}

// TestSequentialKeys inserts and removes in order, the worst case of a tree that does not balance.
func TestSequentialKeys(t *testing.T) {
	kv := mem.NewKV()
	const n = 20_000
	err := kv.Update(context.Background(), nil, func(tx store.Tx) {
		for i := range n {
			tx.Put(fmt.Appendf(nil, "%06d", i), nil)
		}
		for i := range n / 2 {
			tx.Delete(fmt.Appendf(nil, "%06d", i))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	err = kv.View(context.Background(), func(tx store.ReadTx) error {
		for range tx.Scan(nil, nil) {
			count++
		}
		return nil
	})
	if err != nil || count != n/2 {
		t.Errorf("%d keys, %v", count, err)
	}
}
