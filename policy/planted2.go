//go:build planted2

package policy

const planted = 2
