import com.azure.core.exception.HttpResponseException;
import com.azure.core.http.policy.FixedDelayOptions;
import com.azure.core.http.policy.RetryOptions;
import com.azure.core.util.polling.SyncPoller;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.KeyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.models.EncryptionAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.KeyWrapAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.CreateRsaKeyOptions;
import com.azure.security.keyvault.keys.models.DeletedKey;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;

/** Azure's SDK for Java, led here by environment variables alone: the life of a key, each step printed once it is done. */
public final class Life {
    private static final EncryptionAlgorithm OAEP = EncryptionAlgorithm.RSA_OAEP_256;
    private static final RetryOptions ONCE = new RetryOptions(new FixedDelayOptions(0, Duration.ofMillis(1)));

    public static void main(String[] arguments) {
        var credential = new DefaultAzureCredentialBuilder().build();
        String url = System.getenv("VAULT_URL");
        KeyClient keys = new KeyClientBuilder().vaultUrl(url).credential(credential).retryOptions(ONCE).buildClient();
        KeyVaultKey made = keys.createRsaKey(new CreateRsaKeyOptions("cmk").setKeySize(2048));
        check(made.getId().equals(url + "/keys/cmk/" + made.getProperties().getVersion()), made.getId());
        done("create");

        byte[] secret = "32 bytes, of which nobody knows.".getBytes(StandardCharsets.UTF_8);
        CryptographyClient crypto = new CryptographyClientBuilder()
            .keyIdentifier(made.getId()).credential(credential).retryOptions(ONCE).buildClient();
        byte[] sealed = crypto.encrypt(OAEP, secret).getCipherText();
        check(Arrays.equals(crypto.decrypt(OAEP, sealed).getPlainText(), secret), "decrypt returns what was encrypted");
        done("encrypt and decrypt");
        byte[] wrapped = crypto.wrapKey(KeyWrapAlgorithm.RSA_OAEP, secret).getEncryptedKey();
        check(Arrays.equals(crypto.unwrapKey(KeyWrapAlgorithm.RSA_OAEP, wrapped).getKey(), secret), "a key comes back");
        done("wrap and unwrap");
        byte[] signature = crypto.signData(SignatureAlgorithm.RS256, secret).getSignature();
        check(crypto.verifyData(SignatureAlgorithm.RS256, secret, signature).isValid(), "a signature is good");
        done("sign and verify");
        byte[] changed = sealed.clone();
        changed[0] ^= 1;
        refused("a changed ciphertext is refused", 400, "BadParameter", () -> crypto.decrypt(OAEP, changed));

        KeyVaultKey rotated = keys.rotateKey("cmk");
        check(!rotated.getId().equals(made.getId()), "rotation makes a version");
        check(keys.listPropertiesOfKeyVersions("cmk").stream().count() == 2, "two versions");
        crypto.decrypt(OAEP, sealed);
        done("rotate");

        keys.updateKeyProperties(made.getProperties().setEnabled(false));
        refused("a disabled version is refused", 403, "Forbidden", () -> crypto.decrypt(OAEP, sealed));
        keys.updateKeyProperties(made.getProperties().setEnabled(true));

        byte[] backup = keys.backupKey("cmk");
        DeletedKey deleted = delete(keys);
        check(deleted.getScheduledPurgeDate().isAfter(deleted.getDeletedOn()), "a deleted key has its days");
        refused("a deleted key is refused", 404, "KeyNotFound", () -> crypto.decrypt(OAEP, sealed));
        refused("its name is taken", 409, "Conflict", () -> keys.createRsaKey(new CreateRsaKeyOptions("cmk")));
        keys.beginRecoverDeletedKey("cmk").setPollInterval(Duration.ofMillis(10)).waitForCompletion();
        crypto.decrypt(OAEP, sealed);
        done("delete and recover");

        delete(keys);
        keys.purgeDeletedKey("cmk");
        check(keys.restoreKeyBackup(backup).getId().equals(rotated.getId()), "a backup comes back");
        crypto.decrypt(OAEP, sealed);
        done("purge and restore");
        refused("a key that is not there is refused", 404, "KeyNotFound", () -> keys.getKey("nowhere"));
        System.exit(0); // Netty's threads would keep it for a while
    }

    private static DeletedKey delete(KeyClient keys) {
        SyncPoller<DeletedKey, Void> deletion = keys.beginDeleteKey("cmk").setPollInterval(Duration.ofMillis(10));
        return deletion.waitForCompletion().getValue();
    }

    private static void refused(String step, int status, String code, Runnable act) {
        try {
            act.run();
        } catch (HttpResponseException error) {
            check(error.getResponse().getStatusCode() == status && error.getMessage().contains(code), error.getMessage());
            done(step);
            return;
        }
        throw new IllegalStateException(step + ": it was done");
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException("not so: " + what);
        }
    }

    private static void done(String step) {
        System.out.println(step);
    }
}
