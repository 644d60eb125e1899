// Google's SDK for JavaScript, over gRPC with TLS: the life of a key. Who calls, and whom to trust, are variables.

import { KeyManagementServiceClient } from "@google-cloud/kms";
import { check, done, refused } from "./steps.mjs";

const [apiEndpoint, port] = process.env.GCP_TLS.split(":");
const universeDomain = process.env.GOOGLE_CLOUD_UNIVERSE_DOMAIN;
const client = new KeyManagementServiceClient({ apiEndpoint, port: Number(port), universeDomain });
const location = "projects/life/locations/global";
const [ring] = await client.createKeyRing({ parent: location, keyRingId: "ring", keyRing: {} });
const [key] = await client.createCryptoKey({
  parent: ring.name,
  cryptoKeyId: "cmk",
  cryptoKey: { purpose: "ENCRYPT_DECRYPT" },
});
check(key.primary.name === `${key.name}/cryptoKeyVersions/1`, "the first version is primary");
done("create");

const plaintext = Buffer.from("32 bytes, of which nobody knows.");
const additionalAuthenticatedData = Buffer.from("node 1");
const [sealed] = await client.encrypt({ name: key.primary.name, plaintext, additionalAuthenticatedData });
check(sealed.name === key.primary.name, "it says which version");
const opening = { name: key.name, ciphertext: sealed.ciphertext, additionalAuthenticatedData };
const [opened] = await client.decrypt(opening);
check(Buffer.from(opened.plaintext).equals(plaintext), "decrypt returns what was encrypted");
done("encrypt and decrypt");
await refused("other data beside it is refused", [3], () =>
  client.decrypt({ ...opening, additionalAuthenticatedData: Buffer.from("node 2") }),
);

const [second] = await client.createCryptoKeyVersion({ parent: key.name, cryptoKeyVersion: {} });
await client.updateCryptoKeyPrimaryVersion({ name: key.name, cryptoKeyVersionId: "2" });
check((await client.encrypt({ name: key.name, plaintext }))[0].name === second.name, "the second version serves");
await client.decrypt(opening);
done("rotate");

const state = (value) =>
  client.updateCryptoKeyVersion({
    cryptoKeyVersion: { name: key.primary.name, state: value },
    updateMask: { paths: ["state"] },
  });
await state("DISABLED");
await refused("a disabled version is refused", [9], () => client.decrypt(opening));
await state("ENABLED");
const [destroyed] = await client.destroyCryptoKeyVersion({ name: key.primary.name });
check(destroyed.state === "DESTROY_SCHEDULED", destroyed.state);
await refused("a version to be destroyed is refused", [9], () => client.decrypt(opening));
const [restored] = await client.restoreCryptoKeyVersion({ name: key.primary.name });
check(restored.state === "DISABLED", restored.state);
await state("ENABLED");
await client.decrypt(opening);
done("destroy and restore");
await refused("a key that is not there is refused", [5], () =>
  client.getCryptoKey({ name: `${ring.name}/cryptoKeys/nowhere` }),
);
await client.close();
