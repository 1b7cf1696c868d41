//go:build planted1

package policy

const planted = 1
