// Package channel keeps TUF repositories in OCI repositories.
//
// A channel is one tag, [Tag], naming one manifest whose layers are the
// channel's TUF metadata files, each titled with its file name:
//
//	{"schemaVersion": 2,
//	 "mediaType": "application/vnd.oci.image.manifest.v1+json",
//	 "artifactType": "application/vnd.consign.channel.v1+json",
//	 "config": <the OCI empty descriptor>,
//	 "layers": [{"mediaType": "application/vnd.consign.tuf.v1+json",
//	             "digest": ..., "size": ...,
//	             "annotations": {"org.opencontainers.image.title": "1.root.json"}}, ...]}
//
// Every root version is there, and one version of each other role. Nothing of
// the manifest is trusted: it is the directory in which a tufclient looks for
// files, and lying in it achieves what a lying file server achieves.
//
// Moving the tag is the commit. A reader that resolved the tag sees the whole
// of one state; one that meets a missing object half-way, because the tag moved
// and the registry collected the old state, starts again from the tag.
//
// Registries collect what no tag reaches. [Commit] therefore gives a retention
// tag, "consign-" and 64 hexadecimal digits, to every manifest that the channel
// lists in its own repository and to its last [KeepManifests] channel manifests
// (a ring of fixed names, so that nothing ever has to be deleted). Readers
// never use these tags.
//
// docs/spec/channel.md has the format field by field.
package channel
