package plan

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ir"
)

// touched is what a statement reads and sets, by itself: what stands in its blocks is theirs.
type touched struct {
	reads  []ir.Local
	sets   []ir.Local
	fills  []ir.Local // puts a member into
	blocks []*ir.Block
}

func (t *touched) read(list ...ir.Operand) {
	for _, o := range list {
		switch v := o.Value.(type) {
		case ir.Local:
			t.reads = append(t.reads, v)
		case *ir.Local:
			t.reads = append(t.reads, *v)
		}
	}
}

// usage says what a statement touches. One that it does not know is linked by nobody either.
func usage(s ir.Stmt) (t touched) {
	switch s := s.(type) {
	case *ir.BlockStmt:
		t.blocks = s.Blocks
	case *ir.NotStmt:
		t.blocks = []*ir.Block{s.Block}
	case *ir.ScanStmt:
		t.reads, t.sets, t.blocks = []ir.Local{s.Source}, []ir.Local{s.Key, s.Value}, []*ir.Block{s.Block}
	case *ir.ReturnLocalStmt:
		t.reads = []ir.Local{s.Source}
	case *ir.CallStmt:
		t.sets = []ir.Local{s.Result}
		t.read(s.Args...)
	case *ir.AssignIntStmt:
		t.sets = []ir.Local{s.Target}
	case *ir.AssignVarStmt:
		t.sets = []ir.Local{s.Target}
		t.read(s.Source)
	case *ir.AssignVarOnceStmt:
		t.sets = []ir.Local{s.Target}
		t.read(s.Source)
	case *ir.ResetLocalStmt:
		t.sets = []ir.Local{s.Target}
	case *ir.DotStmt:
		t.sets = []ir.Local{s.Target}
		t.read(s.Source, s.Key)
	case *ir.LenStmt:
		t.sets = []ir.Local{s.Target}
		t.read(s.Source)
	case *ir.EqualStmt:
		t.read(s.A, s.B)
	case *ir.NotEqualStmt:
		t.read(s.A, s.B)
	case *ir.IsArrayStmt:
		t.read(s.Source)
	case *ir.IsObjectStmt:
		t.read(s.Source)
	case *ir.IsSetStmt:
		t.read(s.Source)
	case *ir.IsDefinedStmt:
		t.reads = []ir.Local{s.Source}
	case *ir.IsUndefinedStmt:
		t.reads = []ir.Local{s.Source}
	case *ir.ArrayAppendStmt:
		t.fills = []ir.Local{s.Array}
		t.read(s.Value)
	case *ir.ObjectInsertStmt:
		t.fills = []ir.Local{s.Object}
		t.read(s.Key, s.Value)
	case *ir.ObjectInsertOnceStmt:
		t.fills = []ir.Local{s.Object}
		t.read(s.Key, s.Value)
	case *ir.SetAddStmt:
		t.fills = []ir.Local{s.Set}
		t.read(s.Value)
	default:
		if target, ok := made(s); ok {
			t.sets = []ir.Local{target}
		}
	}
	return t
}

// made is the place for which a statement makes a value without members, or a number.
func made(s ir.Stmt) (ir.Local, bool) {
	switch s := s.(type) {
	case *ir.MakeNullStmt:
		return s.Target, true
	case *ir.MakeNumberIntStmt:
		return s.Target, true
	case *ir.MakeNumberRefStmt:
		return s.Target, true
	}
	return emptied(s)
}

// emptied is the place for which a statement makes an empty collection.
func emptied(s ir.Stmt) (ir.Local, bool) {
	switch s := s.(type) {
	case *ir.MakeArrayStmt:
		return s.Target, true
	case *ir.MakeObjectStmt:
		return s.Target, true
	case *ir.MakeSetStmt:
		return s.Target, true
	}
	return 0, false
}

// each calls f for statements and all that stand in them, until it returns false.
func each(stmts []ir.Stmt, f func(ir.Stmt, touched) bool) bool {
	for _, s := range stmts {
		t := usage(s)
		if !f(s, t) {
			return false
		}
		for _, b := range t.blocks {
			if !each(b.Stmts, f) {
				return false
			}
		}
	}
	return true
}

// highest is the highest place that statements touch.
func highest(stmts []ir.Stmt) int {
	top := 0
	each(stmts, func(_ ir.Stmt, t touched) bool {
		for _, list := range [][]ir.Local{t.reads, t.sets, t.fills} {
			for _, p := range list {
				top = max(top, int(p))
			}
		}
		return true
	})
	return top
}

// counts has how many statements put something into a place, and how often one is looked at.
func counts(stmts []ir.Stmt) (filled, read map[ir.Local]int) {
	filled, read = map[ir.Local]int{}, map[ir.Local]int{}
	each(stmts, func(_ ir.Stmt, t touched) bool {
		for _, p := range t.fills {
			filled[p]++
		}
		for _, p := range t.reads {
			read[p]++
		}
		return true
	})
	return filled, read
}

// soleMakers refuses a function that puts members into a value that it did not make: collections know the hash of what they hold, and two places may share one. The planner numbers
// places anew for each rule, and for each "else".
func soleMakers(stmts []ir.Stmt) error {
	if len(stmts) == 1 {
		if s, ok := stmts[0].(*ir.BlockStmt); ok {
			for _, b := range s.Blocks {
				if err := soleMakers(b.Stmts); err != nil {
					return err
				}
			}
			return nil
		}
	}
	given, filled := map[ir.Local]bool{}, map[ir.Local]bool{}
	each(stmts, func(s ir.Stmt, t touched) bool {
		for _, p := range t.fills {
			filled[p] = true
		}
		if _, makes := emptied(s); !makes {
			for _, p := range t.sets {
				given[p] = true
			}
		}
		return true
	})
	for p := range filled {
		if given[p] {
			return fmt.Errorf("%w: objects in objects", ErrUnsupported)
		}
	}
	return nil
}

// conditions are the places that the statements of a negated body set, and at the end ask for: whether the body held.
func conditions(stmts []ir.Stmt) (places []ir.Local) {
	for _, s := range stmts {
		if asked, ok := s.(*ir.IsDefinedStmt); ok && !each(stmts, func(_ ir.Stmt, t touched) bool { return !slices.Contains(t.sets, asked.Source) }) {
			places = append(places, asked.Source)
		}
	}
	return places
}

// sureTests refuses a function that asks whether a place is defined which may hold something from an earlier turn of a loop, or of another rule: it has to be emptied first. Nothing else leaves a place
// as it was: what is undefined empties it.
func sureTests(f *ir.Func) error {
	emptied, asked := map[ir.Local]bool{f.Params[0]: true, f.Params[1]: true, f.Return: true}, map[ir.Local]bool{}
	for _, b := range f.Blocks {
		each(b.Stmts, func(s ir.Stmt, t touched) bool {
			switch s := s.(type) {
			case *ir.ResetLocalStmt:
				emptied[s.Target] = true
			case *ir.NotStmt:
				for _, p := range conditions(s.Block.Stmts) {
					emptied[p] = true
				}
			case *ir.IsDefinedStmt, *ir.IsUndefinedStmt:
				asked[t.reads[0]] = true
			}
			return true
		})
	}
	for p := range asked {
		if !emptied[p] {
			return fmt.Errorf("%w: a test of what may be left over", ErrUnsupported)
		}
	}
	return nil
}
