package cli

import (
	"io"
	"time"
)

// World is everything outside of the program.
type World struct {
	Release        string // version of this program
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            func(string) string
	Lookup         func(string) (string, bool) // env, and whether it is set
	Dir            string                      // working directory
	Clock          func() time.Time
	Rand           io.Reader
	Terminal       func(any) bool         // whether a stream is a terminal
	Password       func() ([]byte, error) // reads from the terminal without echo
	Exit           func(code int)         // ends the process at once, where nothing more may be written
	Self           string                 // path by which this program starts itself once more; "" where it does not
}
