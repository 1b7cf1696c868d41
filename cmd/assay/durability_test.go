package main_test

import "testing"

// TestDurability does to the real program what machines do to it. The cases share one build.
func TestDurability(t *testing.T) {
	program := buildAssay(t)
	for name, test := range map[string]func(*testing.T, string){"E1_Kill9": testKill} {
		t.Run(name, func(t *testing.T) { test(t, program) })
	}
}
