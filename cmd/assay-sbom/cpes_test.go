package main

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/anchore/syft/syft/pkg"
	cpenames "github.com/anchore/syft/syft/pkg/cataloger/common/cpe"
)

// TestCPENamesEqualSyft compares names with those that syft makes, of packages of all kinds whose names and versions have anything in them.
func TestCPENamesEqualSyft(t *testing.T) {
	n := newCPENamer()
	if n.known() == nil {
		t.Fatal("syft's list of known names has another form")
	}
	metadata := []any{
		nil, pkg.DpkgDBEntry{}, pkg.NpmPackage{URL: "https://github.com/acme-org/thing.git", Homepage: "https://www.gnu.org/x"}, pkg.NpmPackage{}, pkg.ApkDBEntry{OriginPackage: "origin", URL: "https://www.x.org/"},
		pkg.RpmDBEntry{Vendor: "Red Hat, Inc.", SourceRpm: "a-1.src.rpm"}, pkg.PythonPackage{Author: "A. Person", AuthorEmail: "a@example.org"}, pkg.RubyGemspec{Authors: []string{"The Author"}, Homepage: "https://gitlab.com/a/b"},
		pkg.JavaArchive{PomProperties: &pkg.JavaPomProperties{GroupID: "org.apache.commons", ArtifactID: "commons-io"}, Manifest: &pkg.JavaManifest{Main: pkg.KeyValues{{Key: "Bundle-SymbolicName", Value: "org.acme.a"}}}},
		pkg.GolangBinaryBuildinfoEntry{}, pkg.BinarySignature{}, pkg.PEBinary{}, pkg.WordpressPluginEntry{PluginInstallDirectory: "akismet"}, pkg.DotnetDepsEntry{Name: "a"}, pkg.RustBinaryAuditEntry{},
	}
	words := []string{"", "a", "libc6", "left-pad", "lodash", "express", "python-jose", "jinja2", "jira", "jira-client", "jenkins", "qt5", "a_b-c.d", "github.com/gin-gonic/gin", "@types/node", "node.js", "ruby", "apache", "openssl", "zlib1g",
		"2:1.0~rc1+b2", "1.0", "-", "--", "*", "?", "a*", "a b", "a\\b", "\\", "é", "\xff", "\"quoted\"", "`", "a'b", "<x>", "$(x)", "{}", "\x00", "a:b", "a/b", "a@b", "~", "+", ".", "_", "a|b", "a^b", strings.Repeat("long-", 20)}
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		if r.IntN(3) == 0 {
			return words[r.IntN(len(words))] + words[r.IntN(len(words))]
		}
		return words[r.IntN(len(words))]
	}
	languages := []pkg.Language{"", pkg.JavaScript, pkg.Java, pkg.Go, pkg.Python, pkg.Ruby, pkg.Rust, pkg.Dotnet}
	direct := 0
	for range 5_000 {
		p := pkg.Package{Name: word(), Version: word(), Type: pkg.AllPkgs[r.IntN(len(pkg.AllPkgs))], Language: languages[r.IntN(len(languages))], Metadata: metadata[r.IntN(len(metadata))]}
		sameNames(t, n, p)
		if _, ok := n.make(p); ok {
			direct++
		}
	}
	if direct < 300 {
		t.Errorf("only %d are made the short way", direct)
	}
	const harmlessOnes = "azAZ09._-+~:/@"
	for _, a := range harmlessOnes {
		for _, b := range harmlessOnes {
			s := string(a) + string(b)
			sameNames(t, n, pkg.Package{Name: s, Version: s, Type: pkg.DebPkg})
			sameNames(t, n, pkg.Package{Name: string(a), Version: string(b), Type: pkg.DebPkg})
		}
	}
}

func sameNames(t *testing.T, n *cpeNamer, p pkg.Package) {
	t.Helper()
	want, ok := cpenames.DictionaryFind(p)
	if !ok {
		want = cpenames.Generate(p)
	}
	if got := n.names(p); len(want)+len(got) > 0 && !reflect.DeepEqual(want, got) {
		t.Errorf("%q %q %s %s %T has the names %v, want %v", p.Name, p.Version, p.Type, p.Language, p.Metadata, got, want)
	}
}

// TestKnownCPENames looks every name of the list up, and some that are not there.
func TestKnownCPENames(t *testing.T) {
	var all struct {
		Ecosystems map[string]map[string][]string `json:"ecosystems"`
	}
	if err := json.Unmarshal(knownNames, &all); err != nil {
		t.Fatal(err)
	}
	n, count := newCPENamer(), 0
	for kind, ecosystem := range ecosystems {
		if len(all.Ecosystems[ecosystem]) == 0 {
			t.Errorf("there is no ecosystem %q", ecosystem)
		}
		for name := range all.Ecosystems[ecosystem] {
			p := pkg.Package{Name: name, Version: "1.0", Type: kind}
			if found, sure := n.lookUp(&p); sure && len(found) == 0 {
				t.Errorf("%s %q is not found", ecosystem, name)
			}
			if count++; count%20 == 0 {
				sameNames(t, n, p)
				p.Name += "\x7f"
				sameNames(t, n, p)
				p.Name = name + "z"
				sameNames(t, n, p)
			}
		}
	}
	if count < 1000 {
		t.Errorf("%d names", count)
	}
	for _, other := range []string{"", "{}", `{"a": [`, "\n      \"x\": [", "\n    \"npm\": {\n      \"b\": [],\n      \"a\": [", "\n    \"npm\": {\n      \"a\\\"\": ["} {
		if d := openDictionary([]byte(other)); d != nil && d.find("npm", "a") != nil {
			t.Errorf("%q has a name", other)
		}
	}
}
