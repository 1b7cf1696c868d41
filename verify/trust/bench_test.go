package trust_test

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkRefresh reads a repository of 10,000 pins in 100 delegated roles for the first time, and again when nothing changed.
func BenchmarkRefresh(b *testing.B) {
	s := newSimulator(b)
	roles := []string{"targets"}
	for team := range 100 {
		role := fmt.Sprintf("team%02d", team)
		roles = append(roles, role)
		s.delegate("targets", paths(role, fmt.Sprintf("acme/%s/*/*", role)))
		for image := range 100 {
			s.pin(role, fmt.Sprintf("acme/%s/app%d/1.0", role, image), "x")
		}
	}
	s.publishAll(roles...)
	f := s.follow()
	state := f.accepts()
	if len(state.Pins) != 10_000 {
		b.Fatalf("%d pins: %v", len(state.Pins), state.Problems)
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.Refresh(context.Background(), s, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.Refresh(context.Background(), s, state); err != nil {
				b.Fatal(err)
			}
		}
	})
}
