//go:build !linux

package main

import (
	"errors"
	"time"
)

// sandbox is known for Linux only; elsewhere the program runs by hand.
func sandbox(int64, time.Duration, int64, string) error {
	return errors.New("the worker runs on Linux")
}
