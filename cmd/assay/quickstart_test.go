package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const readme = "../../README.md"

// shellBlocks returns the ```sh blocks of a Markdown text, in order.
func shellBlocks(text string) []string {
	var blocks []string
	for {
		_, rest, found := strings.Cut(text, "\n```sh\n")
		if !found {
			return blocks
		}
		block, after, _ := strings.Cut(rest, "\n```")
		blocks, text = append(blocks, block), after
	}
}

// TestQuickstart pastes the shell blocks of the README into a shell, in order, in an empty folder, with both generations of cosign. Four things
// are changed on the way: the port, the secret that the server printed, what starts with make (the programs are built, "make run" serves, and
// "make test" is what runs this), and the comments that say what a reader sees:
//
//	# refused           the command must fail and its output must say DENIED and why
//	# a moment later    the command is repeated until its output contains what follows these words in quotes
func TestQuickstart(t *testing.T) {
	l := newLab(t, os.Getenv("ASSAY_TEST_RACE") != "")
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlocks(string(text))
	if len(blocks) < 3 {
		t.Fatalf("%s has %d shell blocks: the quick start is missing", readme, len(blocks))
	}
	for _, generation := range []string{"cosign2", "cosign3"} {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			for _, tool := range []string{"crane", generation} {
				if _, ok := l.tool(tool); !ok && os.Getenv("CI") == "true" {
					t.Fatalf("%s is not installed; make tools installs it", tool)
				} else if !ok {
					t.Skipf("%s is not installed", tool)
				}
			}
			quickstart(t, l, generation, blocks)
		})
	}
}

func quickstart(t *testing.T, l *lab, generation string, blocks []string) {
	work := t.TempDir()
	path, _ := l.tool(generation)
	if err := os.Mkdir(filepath.Join(work, "tools"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(work, "tools/cosign")); err != nil {
		t.Fatal(err)
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + filepath.Join(work, "tools") + ":" + l.path, "HOME=" + work, "TMPDIR=" + t.TempDir(), "DOCKER_CONFIG=" + filepath.Join(work, ".docker"), "COSIGN_PASSWORD=",
		"ASSAY_SERVER=http://" + address,
	}
	s := &server{work: work, address: address}
	t.Cleanup(s.kill)
	if err := s.start(filepath.Join(l.programs, "assay"), env, nil); err != nil {
		log, _ := os.ReadFile(filepath.Join(work, "server.log"))
		t.Fatalf("%v\n%s", err, log)
	}
	text := strings.Join(blocks, "\n")
	if generation == "cosign2" {
		text = strings.ReplaceAll(text, "cosign tree ", "cosign tree --experimental-oci11 ") // as the README says
	}
	script := pasted(t, text, address, printedSecret(t, filepath.Join(work, "server.log")))
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = work, env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	t.Logf("%s", out.String())
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(work, "server.log"))
		t.Fatalf("the quick start of the README failed: %v\nserver:\n%s", err, log)
	}
}

// printedSecret waits until the server has printed the administrator's secret; it is ready a moment before it says so.
func printedSecret(t *testing.T, path string) string {
	t.Helper()
	pattern := regexp.MustCompile(`secret:\s+(\S{20,})\s`)
	deadline := time.After(ready)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		log, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := pattern.FindSubmatch(log); found != nil {
			return string(found[1])
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the server printed no administrator's secret:\n%s", log)
		}
	}
}

// pasted makes the script of the blocks.
func pasted(t *testing.T, text, address, secret string) string {
	t.Helper()
	text = strings.ReplaceAll(text, "127.0.0.1:5000", address)
	if !strings.Contains(text, "SECRET=...") {
		t.Fatal("the README does not say SECRET=...")
	}
	text = strings.ReplaceAll(text, "SECRET=...", "SECRET="+secret)
	text = strings.ReplaceAll(text, "\\\n", "")
	var b strings.Builder
	b.WriteString(`
refused() { if out=$("$@" 2>&1); then echo "not refused: $*"; exit 1; fi; echo "$out"; grep -q DENIED <<<"$out" && grep -qi sign <<<"$out"; }
later() { want=$1; shift; for i in $(seq 300); do if out=$("$@" 2>&1) && grep -qF "$want" <<<"$out"; then echo "$out"; return; fi; sleep 0.2; done; echo "never: $want in $out"; exit 1; }
`)
	moment := regexp.MustCompile(`# a moment later[^"]*"([^"]*)"`)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		command, _, _ := strings.Cut(line, "  # ")
		switch {
		case strings.HasPrefix(line, "make "), strings.HasPrefix(line, "git clone"):
			continue
		case strings.Contains(line, "# refused"):
			line = "refused " + command
		case moment.MatchString(line):
			line = "later '" + moment.FindStringSubmatch(line)[1] + "' " + command
		}
		b.WriteString("echo '+ " + strings.ReplaceAll(line, "'", "'\\''") + "'\n" + line + "\n")
	}
	return b.String()
}
