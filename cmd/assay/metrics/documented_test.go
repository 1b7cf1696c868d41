package metrics

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Every series has a row in deploy/README.md, and no row is of a series that is gone.
func TestSeriesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, made []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(assay_\\w+)").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1])
	}
	name := regexp.MustCompile(`(?:esc\(|Name: )"(assay_\w+)"`)
	for _, dir := range []string{".", "../../../server"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range name.FindAllStringSubmatch(string(text), -1) {
				made = append(made, m[1])
			}
		}
	}
	slices.Sort(documented)
	slices.Sort(made)
	if len(made) < 20 || !slices.Equal(made, documented) {
		t.Errorf("made:\n%s\ndocumented:\n%s", strings.Join(made, "\n"), strings.Join(documented, "\n"))
	}
}

func TestProcessMetrics(t *testing.T) {
	for data, want := range map[string]int{t.TempDir(): 2, filepath.Join(t.TempDir(), "absent"): 1} {
		r := prometheus.NewRegistry()
		if err := r.Register(processMetrics{"v1", data}); err != nil {
			t.Fatal(err)
		}
		all, err := r.Gather()
		if err != nil || len(all) != want {
			t.Errorf("%v, %v", all, err)
		}
		for _, m := range all {
			if value := m.Metric[0].Gauge.GetValue(); value < 1 {
				t.Errorf("%s is %v", m.GetName(), value)
			}
		}
	}
}
