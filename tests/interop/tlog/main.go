// The Go authors' transparency log reads a log that Sacbé made, and makes one for Sacbé to read.
//
//	check FOLDER VKEY SIZE OLD INDEX...   prints the root, a consistency proof and inclusion proofs, all proved
//	make  FOLDER NAME COUNT               writes tiles, bundles and a checkpoint; prints the verifier key
package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type folder string

func (f folder) Height() int                         { return 8 }
func (f folder) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (f folder) path(t tlog.Tile) string {
	return filepath.Join(string(f), strings.Replace(t.Path(), "tile/8/", "tile/", 1))
}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(f.path(t))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

type result struct {
	Root        tlog.Hash
	Consistency tlog.TreeProof
	Inclusion   []tlog.RecordProof
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	must(err)
	return n
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func check(f folder, vkey string, size, old int64, indices []string) {
	verifier, err := note.NewVerifier(vkey)
	must(err)
	raw, err := os.ReadFile(filepath.Join(string(f), "checkpoint"))
	must(err)
	opened, err := note.Open(raw, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() || number(lines[1]) != size {
		log.Fatalf("checkpoint of %s with %s entries", lines[0], lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	must(err)
	hashes := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, f)
	found := result{Root: root}
	found.Consistency, err = tlog.ProveTree(size, old, hashes)
	must(err)
	oldRoot, err := tlog.TreeHash(old, hashes)
	must(err)
	must(tlog.CheckTree(found.Consistency, size, root, old, oldRoot))
	for _, index := range indices {
		proof, err := tlog.ProveRecord(size, number(index), hashes)
		must(err)
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, number(index))})
		must(err)
		must(tlog.CheckRecord(proof, size, root, number(index), leaf[0]))
		found.Inclusion = append(found.Inclusion, proof)
	}
	must(json.NewEncoder(os.Stdout).Encode(found))
}

func create(f folder, name string, count int64) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, i := range indexes {
			found = append(found, stored[i])
		}
		return found, nil
	})
	var bundle []byte
	for i := int64(0); i < count; i++ {
		entry := []byte(fmt.Sprintf("entry %d", i))
		hashes, err := tlog.StoredHashes(i, entry, reader)
		must(err)
		stored = append(stored, hashes...)
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
		bundle = append(bundle, entry...)
	}
	for _, t := range tlog.NewTiles(8, 0, count) {
		data, err := tlog.ReadTileData(t, reader)
		must(err)
		must(os.MkdirAll(filepath.Dir(f.path(t)), 0o755))
		must(os.WriteFile(f.path(t), data, 0o644))
	}
	root, err := tlog.TreeHash(count, reader)
	must(err)
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	must(err)
	signer, err := note.NewSigner(skey)
	must(err)
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", name, count, root)}, signer)
	must(err)
	must(os.WriteFile(filepath.Join(string(f), "checkpoint"), signed, 0o644))
	fmt.Println(vkey)
}

func main() {
	switch os.Args[1] {
	case "check":
		check(folder(os.Args[2]), os.Args[3], number(os.Args[4]), number(os.Args[5]), os.Args[6:])
	case "make":
		create(folder(os.Args[2]), os.Args[3], number(os.Args[4]))
	}
}
