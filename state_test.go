package assay_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// setByLinker are the only package-level variables that change: the linker sets them.
var setByLinker = []string{"cmd/assay.version", "cmd/assay-sbom.version"}

// outward says which packages may call which of the functions that reach the machine. Everywhere else clock, randomness, files and dialers are passed in.
var outward = []struct {
	call   string // package.Function, or package.* for all of it
	except []string
	may    []string
	reason string
}{
	{"time.Now", nil, []string{"cmd", "store/fs", "store/mem", "store/storetest"}, "the clock is passed in; a driver's exported Now may start from it"},
	{"time.Since", nil, []string{"cmd"}, "it reads the clock, which is passed in"},
	{"time.Until", nil, []string{"cmd"}, "it reads the clock, which is passed in"},
	{"time.Sleep", nil, nil, "wait for an event or a timer that a context can end"},
	{"os.*", []string{"File", "FileInfo", "FileMode", "Signal", "ErrNotExist", "ErrExist", "ErrPermission", "ErrClosed", "ErrDeadlineExceeded", "IsNotExist"}, []string{"cmd", "store/fs", "store/bolt", "store/storetest", "sbom"},
		"files belong to the drivers, to the command, and to what runs the worker in a scratch folder"},
	{"net.Dial", nil, nil, "the dialer is passed in"},
	{"http.Get", nil, nil, "the client is passed in"},
	{"http.Post", nil, nil, "the client is passed in"},
	{"http.DefaultClient", nil, nil, "the client is passed in"},
	{"http.DefaultTransport", nil, nil, "the transport is passed in"},
	{"http.DefaultServeMux", nil, nil, "a global mux takes routes from anyone"},
	{"http.Handle", nil, nil, "a global mux takes routes from anyone"},
	{"http.HandleFunc", nil, nil, "a global mux takes routes from anyone"},
	{"slog.Default", nil, nil, "the logger is passed in"},
	{"slog.SetDefault", nil, nil, "the logger is passed in"},
	{"slog.Info", nil, nil, "the logger is passed in"},
	{"slog.Warn", nil, nil, "the logger is passed in"},
	{"slog.Error", nil, nil, "the logger is passed in"},
	{"slog.Debug", nil, nil, "the logger is passed in"},
	{"prometheus.MustRegister", nil, nil, "the registry of metrics is passed in"},
	{"prometheus.DefaultRegisterer", nil, nil, "the registry of metrics is passed in"},
}

func TestTheMachineIsPassedIn(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || !importsName(s.file, pkg.Name) {
				return true
			}
			for _, rule := range outward {
				name, all := strings.CutSuffix(rule.call, ".*")
				hit := rule.call == pkg.Name+"."+sel.Sel.Name || all && name == pkg.Name && !slices.Contains(rule.except, sel.Sel.Name)
				if hit && !s.under(rule.may...) {
					t.Errorf("%s: %s.%s: %s", s.at(sel), pkg.Name, sel.Sel.Name, rule.reason)
				}
			}
			return true
		})
	}
}

// importsName reports whether name is an import of the file rather than a variable that is called like one.
func importsName(f *ast.File, name string) bool {
	return slices.ContainsFunc(f.Imports, func(spec *ast.ImportSpec) bool {
		if spec.Name != nil {
			return spec.Name.Name == name
		}
		path := strings.Trim(spec.Path.Value, `"`)
		return path == name || strings.HasSuffix(path, "/"+name)
	})
}

func TestTestsNeitherSleepNorSkipSilently(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test() || s.dir == "." {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch name := expr(call.Fun); {
			case name == "time.Sleep":
				t.Errorf("%s: time.Sleep: wait for the event, not for the clock", s.at(call))
			case strings.HasSuffix(name, ".Skip") || strings.HasSuffix(name, ".Skipf") || strings.HasSuffix(name, ".SkipNow"):
				if !strings.Contains(s.text, `os.Getenv("CI")`) && !strings.Contains(s.text, "testing.Short()") && !strings.Contains(s.text, `os.Getenv("OCI_CONFORMANCE")`) {
					t.Errorf("%s: a skip that CI=true does not turn into a failure hides what is missing", s.at(call))
				}
			}
			return true
		})
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init: wire it in cmd, or call it from TestMain", s.at(f))
			}
		}
	}
}

// TestNoMutablePackageState holds package-level variables to be tables: complete where they are declared and never written again.
func TestNoMutablePackageState(t *testing.T) {
	tables := map[string]map[string]bool{} // directory: names
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				spec := spec.(*ast.ValueSpec)
				for _, name := range spec.Names {
					if name.Name == "_" || slices.Contains(setByLinker, s.dir+"."+name.Name) {
						continue
					}
					if why := notATable(spec); why != "" {
						t.Errorf("%s: package-level %s %s: make it a field of what uses it", s.at(name), name.Name, why)
					}
					if tables[s.dir] == nil {
						tables[s.dir] = map[string]bool{}
					}
					tables[s.dir][name.Name] = true
				}
			}
		}
	}
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				eachWrite(f, func(id *ast.Ident) {
					if tables[s.dir][id.Name] {
						t.Errorf("%s: %s writes the package-level %s", s.at(id), f.Name.Name, id.Name)
					}
				})
			}
		}
	}
}

// notATable says what is wrong with a package-level variable, or nothing.
func notATable(spec *ast.ValueSpec) string {
	if len(spec.Values) == 0 {
		if _, ok := spec.Type.(*ast.SelectorExpr); ok && expr(spec.Type) == "embed.FS" || ok && expr(spec.Type) == "store.Name" {
			return ""
		}
		if expr(spec.Type) == "string" || expr(spec.Type) == "[]byte" || isByteSlice(spec.Type) {
			return "" // go:embed; written ones are found where they are written
		}
		return "has no value"
	}
	for _, v := range append([]ast.Expr{spec.Type}, spec.Values...) {
		if v == nil {
			continue
		}
		why := ""
		ast.Inspect(v, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.ChanType:
				why = "is a channel"
			case *ast.SelectorExpr:
				if p := expr(n.X); p == "sync" || p == "atomic" {
					why = "is a " + expr(n)
				}
			case *ast.CallExpr:
				if expr(n.Fun) == "make" || expr(n.Fun) == "new" {
					why = "is made empty to be filled later"
				}
			case *ast.CompositeLit:
				if _, isMap := n.Type.(*ast.MapType); isMap && len(n.Elts) == 0 {
					why = "is an empty map to be filled later"
				}
			}
			return why == ""
		})
		if why != "" {
			return why
		}
	}
	return ""
}

func isByteSlice(e ast.Expr) bool {
	a, ok := e.(*ast.ArrayType)
	return ok && a.Len == nil && expr(a.Elt) == "byte"
}

// eachWrite calls fn with the root identifier of everything that f assigns to, increments, deletes from, or takes the address of,
// unless f declares that name itself.
func eachWrite(f *ast.FuncDecl, fn func(*ast.Ident)) {
	local := map[string]bool{}
	declare := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok {
			local[id.Name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				declare(name)
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				declare(name)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, left := range n.Lhs {
					declare(left)
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				declare(n.Key)
				declare(n.Value)
			}
		}
		return true
	})
	write := func(e ast.Expr) {
		if id := root(e); id != nil && !local[id.Name] {
			fn(id)
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, left := range n.Lhs {
					write(left)
				}
			}
		case *ast.IncDecStmt:
			write(n.X)
		case *ast.UnaryExpr:
			if _, composite := n.X.(*ast.CompositeLit); n.Op == token.AND && !composite {
				write(n.X)
			}
		case *ast.CallExpr:
			if name := expr(n.Fun); (name == "delete" || name == "clear") && len(n.Args) > 0 {
				write(n.Args[0])
			}
		}
		return true
	})
}

func root(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	case *ast.SliceExpr:
		return root(e.X)
	}
	return nil
}
