// Command porcupine checks histories of Holdfast with a linearizability checker that Holdfast does not share code with.
//
// Each argument is the file of a run, as --history writes it. For each, it prints one line: Ok if the rows behave like
// atomic registers, Illegal if not, Unknown if the time for the search was not enough.
//
// The model is a register with the version of a row. A write is one atomic read-modify-write: it takes effect at some
// moment between its read and its write, sees the version that it says it read, and leaves the version that it says it
// wrote. After all of them, the version is the one that the database had at the end.
package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type line struct {
	Type string `json:"type"`
	// employee
	At      string `json:"at"`
	ID      int64  `json:"id"`
	Version int64  `json:"version"`
	// write
	Employee    int64 `json:"employee"`
	ReadVersion int64 `json:"readVersion"`
	NewVersion  int64 `json:"newVersion"`
	ReadAtUs    int64 `json:"readAtUs"`
	WrittenAtUs int64 `json:"writtenAtUs"`
}

type operation struct{ read, written int64 }

func model(initial int64) porcupine.Model {
	return porcupine.Model{
		Init: func() interface{} { return initial },
		Step: func(state, input, _ interface{}) (bool, interface{}) {
			op := input.(operation)
			return state.(int64) == op.read, op.written
		},
	}
}

const searchMax = 5 * time.Second

func check(path string) (porcupine.CheckResult, error) {
	file, err := os.Open(path)
	if err != nil {
		return porcupine.Unknown, err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return porcupine.Unknown, err
	}
	initial := map[int64]int64{}
	histories := map[int64][]porcupine.Operation{}
	scanner := bufio.NewScanner(unzipped)
	scanner.Buffer(nil, 1<<26)
	for scanner.Scan() {
		var header struct{ Type string }
		if err := json.Unmarshal(scanner.Bytes(), &header); err != nil {
			return porcupine.Unknown, err
		}
		if header.Type != "employee" && header.Type != "write" {
			continue
		}
		var row line
		if err := json.Unmarshal(scanner.Bytes(), &row); err != nil {
			return porcupine.Unknown, err
		}
		switch {
		case row.Type == "write":
			add(histories, row.Employee, row.ReadAtUs, row.WrittenAtUs, operation{row.ReadVersion, row.NewVersion})
		case row.At == "start":
			initial[row.ID] = row.Version
		default:
			// A read of the row after everything else.
			add(histories, row.ID, math.MaxInt64-1, math.MaxInt64, operation{row.Version, row.Version})
		}
	}
	if err := scanner.Err(); err != nil {
		return porcupine.Unknown, err
	}
	for employee, history := range histories {
		version, known := initial[employee]
		if !known {
			return porcupine.Illegal, nil
		}
		if result := porcupine.CheckOperationsTimeout(model(version), history, searchMax); result != porcupine.Ok {
			return result, nil
		}
	}
	return porcupine.Ok, nil
}

// Every operation has a client of its own: porcupine takes operations of one client one after the other.
func add(histories map[int64][]porcupine.Operation, employee, call, end int64, op operation) {
	histories[employee] = append(histories[employee], porcupine.Operation{
		ClientId: len(histories[employee]), Input: op, Call: call, Return: end,
	})
}

func main() {
	for _, path := range os.Args[1:] {
		result, err := check(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(2)
		}
		fmt.Println(result)
	}
}
