// This file is empty: it tells the compiler that functions without a body (licences.go) are somewhere else.
