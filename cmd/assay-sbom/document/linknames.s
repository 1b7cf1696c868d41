// This file is empty: it tells the compiler that functions without a body (names.go) are somewhere else.
