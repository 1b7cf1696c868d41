package assay_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	maxFileLines     = 600
	maxFunctionLines = 90
	designLines      = 1000 // a package of more lines than this is explained in a DESIGN.md, its own or that of the package that it is a leaf of
)

// source is one parsed Go file of the module.
type source struct {
	dir, name string // "store/fs", "store/fs/fs.go"
	text      string
	file      *ast.File
	set       *token.FileSet
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }
func (s source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.set.Position(n.Pos()).Line)
}
func (s source) lines(n ast.Node) int {
	return s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1
}
func (s source) under(dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return s.dir == d || strings.HasPrefix(s.dir, d+"/") })
}

// sources parses every Go file that belongs to the module, tests included.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "data" || name == "zzpins") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(filepath.Dir(path)), filepath.ToSlash(path), string(text), file, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFilesAndFunctionsFitTheHead(t *testing.T) {
	for _, s := range sources(t) {
		if n := strings.Count(s.text, "\n"); n > maxFileLines {
			t.Errorf("%s has %d lines: at most %d, one idea per file", s.name, n, maxFileLines)
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.lines(f) > maxFunctionLines {
				t.Errorf("%s: %s has %d lines: at most %d", s.at(f), f.Name.Name, s.lines(f), maxFunctionLines)
			}
		}
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	doc, lines := map[string]bool{}, map[string]int{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		lines[s.dir] += strings.Count(s.text, "\n")
		name := "// Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			name = "// Command " + filepath.Base(s.dir) + " "
		}
		doc[s.dir] = doc[s.dir] || s.file.Doc != nil && strings.HasPrefix(s.file.Doc.List[0].Text, name)
	}
	for dir, n := range lines {
		if !doc[dir] {
			t.Errorf("%s has no package comment (// Package name ..., or // Command name ... for a program)", dir)
		}
		if n > designLines && !strings.HasPrefix(dir, "cmd/") && !explained(dir) {
			t.Errorf("%s has %d lines and no DESIGN.md beside or above it (context, decision, rejected alternatives, who is trusted for what)", dir, n)
		}
	}
	for _, dir := range []string{"store", "policy", "verify", "server"} {
		if _, err := os.Stat(filepath.Join(dir, "DESIGN.md")); err != nil {
			t.Errorf("%s has no DESIGN.md", dir)
		}
	}
}

// explained reports whether a package or one that it is a leaf of has a DESIGN.md.
func explained(dir string) bool {
	for ; dir != "."; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "DESIGN.md")); err == nil {
			return true
		}
	}
	return false
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && !documents(d.Doc, d.Name.Name) {
					t.Errorf("%s: %s needs a comment that starts with its name", s.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				undocumentedSpecs(d, func(n ast.Node, name string) { t.Errorf("%s: %s needs a comment", s.at(n), name) })
			}
		}
	}
}

func exportedReceiver(f *ast.FuncDecl) bool { return f.Recv == nil || ast.IsExported(receiver(f)) }

// receiver names the type that a method belongs to.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	name := ""
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name
}

func documents(doc *ast.CommentGroup, name string) bool {
	text := strings.TrimSpace(doc.Text())
	for _, article := range []string{"A ", "An ", "The "} {
		text = strings.TrimPrefix(text, article)
	}
	return strings.HasPrefix(text, name) || strings.HasPrefix(text, "Deprecated:")
}

// undocumentedSpecs reports exported types without a comment that starts with their name, and exported constants and variables
// that neither their own comment nor one over their group explains.
func undocumentedSpecs(d *ast.GenDecl, report func(ast.Node, string)) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && !documents(spec.Doc, spec.Name.Name) && !documents(d.Doc, spec.Name.Name) {
				report(spec, spec.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					report(spec, name.Name)
				}
			}
		}
	}
}

func TestDecoratorsDeclareEveryMethod(t *testing.T) {
	all := sources(t)
	wanted := registryMethods(t, all)
	methods := map[string][]string{} // directory and type: declared methods
	for _, s := range all {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil {
				key := s.dir + "." + receiver(f)
				methods[key] = append(methods[key], f.Name.Name)
			}
		}
	}
	for _, s := range all {
		if s.test() {
			continue
		}
		eachStruct(s.file, func(name string, st *ast.StructType) {
			for _, field := range st.Fields.List {
				if len(field.Names) > 0 {
					continue
				}
				switch embedded := strings.TrimPrefix(strings.TrimPrefix(expr(field.Type), "*"), "store."); embedded {
				case "Registry", "Reader", "Writer", "Deleter", "Lister":
					t.Errorf("%s: %s embeds %s: a method added later would pass through ungated; embed store.Unimplemented", s.at(field), name, embedded)
				case "Unimplemented":
					for _, m := range wanted {
						if !slices.Contains(methods[s.dir+"."+name], m) {
							t.Errorf("%s: %s does not declare %s itself", s.at(field), name, m)
						}
					}
				}
			}
		})
	}
}

// registryMethods reads the methods of store.Registry off its source.
func registryMethods(t *testing.T, all []source) []string {
	t.Helper()
	var names []string
	for _, s := range all {
		if s.name != "store/registry.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !slices.Contains([]string{"Reader", "Writer", "Deleter", "Lister"}, spec.Name.Name) {
				return true
			}
			for _, m := range spec.Type.(*ast.InterfaceType).Methods.List {
				names = append(names, m.Names[0].Name)
			}
			return false
		})
	}
	if len(names) < 12 {
		t.Fatalf("store/registry.go declares %d methods: the check would be blind", len(names))
	}
	return names
}

func eachStruct(f *ast.File, fn func(name string, st *ast.StructType)) {
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if st, ok := spec.Type.(*ast.StructType); ok {
				fn(spec.Name.Name, st)
			}
		}
		return true
	})
}

// expr prints the simple expressions that types and selectors are made of.
func expr(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return expr(e.X) + "." + e.Sel.Name
	case *ast.StarExpr:
		return "*" + expr(e.X)
	case *ast.IndexExpr:
		return expr(e.X)
	case *ast.ParenExpr:
		return expr(e.X)
	}
	return ""
}

var leftovers = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b|nolint`)

func TestNothingIsLeftOpen(t *testing.T) {
	for _, s := range sources(t) {
		if s.dir == "." {
			continue // these tests name what they forbid
		}
		for _, group := range s.file.Comments {
			if found := leftovers.FindString(group.Text()); found != "" {
				t.Errorf("%s: %s in a comment: do it, or say why not", s.at(group), found)
			}
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//nolint") || strings.HasPrefix(c.Text, "//lint:") {
					t.Errorf("%s: suppressed finding: mend it", s.at(c))
				}
			}
		}
	}
}
