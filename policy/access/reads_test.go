package access

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

// The reads table of the contract, cell by cell, for every single role and the combinations that pipelines hold. The golden file is read by people.
func TestReadsTable(t *testing.T) {
	states := []store.State{store.StateAdmitted, store.StateQuarantined, store.StatePending, store.StateRevoked, Unreferenced, store.StateExpired, store.StateTombstoned, store.StateEvidence, ""}
	roles := []Roles{RolePull, RolePush, RolePull | RolePush, RoleSign, RoleScan, RoleSign | RolePush, RoleDelete, RoleAdmin | RolePull | RolePush | RoleDelete | RoleSign | RoleScan, 0}
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s %-9s %-34s %-5s %-5s %-8s\n", "state", "what", "roles", "GET", "HEAD", "uploader GET")
	for _, s := range states {
		for what, name := range []string{Manifest: "manifest", Config: "config", Layer: "layer"} {
			if s == Unreferenced && Thing(what) == Manifest {
				continue
			}
			for _, r := range roles {
				q := Question{Roles: r, State: s, What: Thing(what), ByDigest: true}
				get := status(Reads(q))
				q.Head = true
				head := status(Reads(q))
				q.Head, q.Uploader = false, r.Has(RolePush)
				fmt.Fprintf(&b, "%-12s %-9s %-34s %-5s %-5s %-8s\n", s, name, r, get, head, status(Reads(q)))
			}
		}
	}
	golden(t, "reads.golden", b.String())
}

func status(a Answer) string {
	return map[Answer]string{Absent: "404", Refused: "403", Granted: "200"}[a]
}

// golden compares with a file; UPDATE=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") == "1" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run with UPDATE=1 to write it", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with UPDATE=1 and read the difference", path)
	}
}
