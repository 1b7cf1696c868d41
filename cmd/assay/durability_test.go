package main_test

import "testing"

// TestDurability does to the real program what machines do to it. The cases share one build.
func TestDurability(t *testing.T) {
	program := buildAssay(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, string)
	}{{"E1_Kill9", testKill}, {"E5_FullDisk", testFullDisk}, {"E9_Backup", testBackup}, {"E11_TwoServers", testTwoServers}, {"E12_Drain", testDrain}} {
		t.Run(c.name, func(t *testing.T) { c.test(t, program) })
	}
}
