package doctor

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
)

// patient is a directory that the doctor looks at, and a clock that can be set.
type patient struct {
	t   *testing.T
	dir string
	now time.Time
	app *cli.App
}

func newPatient(t *testing.T) *patient {
	p := &patient{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	p.app = &cli.App{World: cli.World{Dir: p.dir, Stdout: io.Discard, Stderr: io.Discard, Rand: rand.Reader, Env: func(string) string { return "" }, Clock: func() time.Time { return p.now }}}
	return p
}

func (p *patient) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// configuration reads one that was written.
func (p *patient) configuration(name string) *config.Config {
	p.t.Helper()
	cfg, err := place.Load(p.app, place.Flags{File: name})
	if err != nil {
		p.t.Fatal(err)
	}
	return cfg
}

func (p *patient) found(look check, cfg *config.Config) []finding {
	return look(p.t.Context(), p.app, cfg)
}
