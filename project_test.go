package assay_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// targets are the targets of the Makefile and the files that "make build" writes.
func targets(makefile string) (names, built []string) {
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(makefile, -1) {
		names = append(names, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)-o (bin/[a-z-]+)`).FindAllStringSubmatch(makefile, -1) {
		built = append(built, m[1])
	}
	return names, built
}

// TestDockerfile holds the Dockerfile to the Makefile and to what an image of a registry owes its users, without an engine.
func TestDockerfile(t *testing.T) {
	names, built := targets(read(t, "Makefile"))
	stages, copied, user, made := []string{}, []string{}, "", false
	for line := range strings.Lines(read(t, "Dockerfile")) {
		field := strings.Fields(line)
		if len(field) < 2 || strings.HasPrefix(line, "#") {
			continue
		}
		switch field[0] {
		case "FROM":
			stages = append(stages, field[1])
			if len(stages) == 1 && (len(field) != 4 || field[3] != "build") {
				t.Errorf("the first stage is not called build: %s", line)
			}
		case "RUN":
			if field[1] == "make" {
				made = true
				if !slices.Contains(names, field[2]) {
					t.Errorf("%q: the Makefile has no target %s", strings.TrimSpace(line), field[2])
				}
			}
		case "COPY":
			copied = append(copied, checkCopy(t, field[1:], len(stages))...)
		case "USER":
			user = field[1]
		}
	}
	if len(stages) != 2 || stages[1] != "scratch" {
		t.Errorf("stages %v: want a builder and scratch", stages)
	}
	if !made {
		t.Error("the Dockerfile does not build with make")
	}
	if user == "" || user == "0" || strings.HasPrefix(user, "0:") || strings.HasPrefix(user, "root") {
		t.Errorf("the image runs as %q, not as a number above 0", user)
	}
	for _, file := range built {
		if !slices.Contains(copied, "/src/"+file) {
			t.Errorf("make build writes %s, which the image does not hold", file)
		}
	}
	toolchain := regexp.MustCompile(`golang:(\d+\.\d+)`).FindStringSubmatch(stages[0])
	if toolchain == nil || !strings.HasPrefix(strings.TrimSpace(goList(t, "-m", "-f", "{{.GoVersion}}")), toolchain[1]) {
		t.Errorf("the builder %s is of another version than go.mod asks for", stages[0])
	}
}

// checkCopy returns the sources of a COPY line; those from the context must exist.
func checkCopy(t *testing.T, args []string, stage int) []string {
	t.Helper()
	fromStage := false
	for len(args) > 0 && strings.HasPrefix(args[0], "--") {
		fromStage = fromStage || args[0] == "--from=build"
		args = args[1:]
	}
	sources := args[:len(args)-1]
	for _, source := range sources {
		if fromStage != (stage > 1) {
			t.Errorf("COPY %v in stage %d: the last stage copies from the builder alone", args, stage)
		}
		if _, err := os.Stat(source); !fromStage && err != nil {
			t.Errorf("COPY %s: %v", source, err)
		}
	}
	return sources
}

func TestOneTestCommand(t *testing.T) {
	ci := read(t, ".ci/run")
	if !strings.Contains(ci, "make test") || !strings.Contains(ci, "export CI=true") {
		t.Error(".ci/run does not run make test with CI=true")
	}
	if info, err := os.Stat(".ci/run"); err != nil || info.Mode()&0o111 == 0 {
		t.Error(".ci/run is not executable")
	}
	names, _ := targets(read(t, "Makefile"))
	for _, target := range regexp.MustCompile("make ([a-z0-9-]+)").FindAllStringSubmatch(read(t, "README.md"), -1) {
		if !slices.Contains(names, target[1]) {
			t.Errorf("README.md says %q, which the Makefile does not have", target[0])
		}
	}
}

func TestLicence(t *testing.T) {
	licence := read(t, "LICENSE")
	for _, want := range []string{"Apache License\n                           Version 2.0, January 2004", "END OF TERMS AND CONDITIONS", "Copyright 2026 The Assay Authors"} {
		if !strings.Contains(licence, want) {
			t.Errorf("LICENSE lacks %q", want)
		}
	}
}

// TestLinksOfTheDocumentation checks that what Markdown files link to inside the repository exists.
func TestLinksOfTheDocumentation(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	machine := "/" + "work/"
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "bin" || entry.Name() == "data") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !slices.Contains([]string{".md", ".go", ".rego", ".yaml", ".txtar", ".sh"}, filepath.Ext(path)) {
			return nil
		}
		text := read(t, path)
		if strings.Contains(text, machine) && !strings.Contains(path, "zzpins") {
			t.Errorf("%s names a path of one machine", path)
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
