// Azure's SDK for JavaScript, led here by environment variables alone: the life of a key.

import { DefaultAzureCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import { check, done, refused } from "./steps.mjs";

const once = { retryOptions: { maxRetries: 0 } };
const credential = new DefaultAzureCredential();
const keys = new KeyClient(process.env.VAULT_URL, credential, once);
const made = await keys.createRsaKey("cmk", { keySize: 2048, tags: { team: "storage" } });
check(made.id === `${process.env.VAULT_URL}/keys/cmk/${made.properties.version}`, made.id);
done("create");

const secret = Buffer.from("32 bytes, of which nobody knows.");
const crypto = new CryptographyClient(made.id, credential, once);
const sealed = await crypto.encrypt({ algorithm: "RSA-OAEP-256", plaintext: secret });
const opened = await crypto.decrypt({ algorithm: "RSA-OAEP-256", ciphertext: sealed.result });
check(Buffer.from(opened.result).equals(secret), "decrypt returns what was encrypted");
done("encrypt and decrypt");
const wrapped = await crypto.wrapKey("RSA-OAEP", secret);
check(Buffer.from((await crypto.unwrapKey("RSA-OAEP", wrapped.result)).result).equals(secret), "a key comes back");
done("wrap and unwrap");
const signature = await crypto.signData("RS256", secret);
check((await crypto.verifyData("RS256", secret, signature.result)).result, "a signature is good");
done("sign and verify");
await refused("a changed ciphertext is refused", [400], () =>
  crypto.decrypt({ algorithm: "RSA-OAEP-256", ciphertext: sealed.result.map((byte) => byte ^ 1) }),
);

const rotated = await keys.rotateKey("cmk");
check(rotated.properties.version !== made.properties.version, "rotation makes a version");
await crypto.decrypt({ algorithm: "RSA-OAEP-256", ciphertext: sealed.result });
const versions = [];
for await (const version of keys.listPropertiesOfKeyVersions("cmk")) versions.push(version.version);
check(versions.length === 2, "two versions");
done("rotate");

await keys.updateKeyProperties("cmk", made.properties.version, { enabled: false });
await refused("a disabled version is refused", [403, "Forbidden"], () =>
  crypto.decrypt({ algorithm: "RSA-OAEP-256", ciphertext: sealed.result }),
);
await keys.updateKeyProperties("cmk", made.properties.version, { enabled: true });

const backup = await keys.backupKey("cmk");
const deletion = await keys.beginDeleteKey("cmk", { intervalInMs: 10 });
const deleted = await deletion.pollUntilDone();
check(deleted.properties.scheduledPurgeDate > deleted.properties.deletedOn, "a deleted key has its days");
await refused("a deleted key is refused", [404], () =>
  crypto.decrypt({ algorithm: "RSA-OAEP-256", ciphertext: sealed.result }),
);
await refused("its name is taken", [409, "Conflict"], () => keys.createRsaKey("cmk"));
const recovery = await keys.beginRecoverDeletedKey("cmk", { intervalInMs: 10 });
check((await recovery.pollUntilDone()).name === "cmk", "a key is recovered");
await crypto.decrypt({ algorithm: "RSA-OAEP-256", ciphertext: sealed.result });
done("delete and recover");

await (await keys.beginDeleteKey("cmk", { intervalInMs: 10 })).pollUntilDone();
await keys.purgeDeletedKey("cmk");
check((await keys.restoreKeyBackup(backup)).properties.version === rotated.properties.version, "a backup comes back");
await crypto.decrypt({ algorithm: "RSA-OAEP-256", ciphertext: sealed.result });
done("purge and restore");
await refused("a key that is not there is refused", [404], () => keys.getKey("nowhere"));
