package trust_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/trust"
)

// fixtures are repositories that another implementation made. They lie beside the project; in CI they must be there.
func fixtures(t testing.TB, name string) (trust.Source, []byte) {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "fixtures", "tuf", name)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared fixtures are missing: %v", err)
		}
		t.Skipf("the shared fixtures are not beside the project: %v", err)
	}
	for _, root := range []string{"metadata/1.root.json", "1.root.json", "root.json"} {
		if b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(root))); err == nil {
			return trust.Directory(os.DirFS(dir)), b
		}
	}
	t.Fatalf("%s has no root", dir)
	return nil, nil
}

func refreshAt(t *testing.T, source trust.Source, root []byte, now time.Time) (*verify.TUFState, error) {
	t.Helper()
	a := verify.Authority{Name: "tough", Kind: verify.KindTUF, TUF: &verify.TUF{Root: string(root)}}
	c, err := trust.New(trust.Options{Authority: a, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return c.Refresh(context.Background(), source, nil)
}

func TestToughRepositories(t *testing.T) {
	valid := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, targets := range map[string]string{"tough-tuf-reference-impl": "file1.txt file2.txt file3.txt", "tough-consistent-snapshots": "data1.txt data2.txt"} {
		t.Run(name, func(t *testing.T) {
			source, root := fixtures(t, name)
			state, err := refreshAt(t, source, root, valid)
			if err != nil || len(state.Problems) > 0 {
				t.Fatalf("%+v, %v", state, err)
			}
			s, err := trust.Begin(source, map[string][]byte{"root": root}, valid)
			if err != nil {
				t.Fatal(err)
			}
			for path := range strings.FieldsSeq(targets) {
				target, err := s.Target(context.Background(), path)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Download(context.Background(), target, 1<<20); err != nil {
					t.Error(err)
				}
			}
			if _, err := refreshAt(t, source, root, time.Date(2999, 6, 1, 0, 0, 0, 0, time.UTC)); !is(err, trust.ErrExpired) {
				t.Errorf("in 2999: %v", err)
			}
		})
	}
	t.Run("tough-expired-repository", func(t *testing.T) {
		source, root := fixtures(t, "tough-expired-repository")
		if _, err := refreshAt(t, source, root, valid); !is(err, trust.ErrExpired) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("tough-rotated-root", func(t *testing.T) {
		source, root := fixtures(t, "tough-rotated-root")
		state, err := refreshAt(t, source, root, valid)
		if err != nil || state.Root != 2 {
			t.Fatalf("%+v, %v", state, err)
		}
	})
	t.Run("tough-simple-rsa", func(t *testing.T) {
		_, root := fixtures(t, "tough-simple-rsa")
		if _, err := trust.Begin(nil, map[string][]byte{"root": root}, valid); err != nil {
			t.Error(err)
		}
	})
}
