import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** Reads zips as they come, from the front, as X-Road's verifiers do; entries that are containers too. Each argument is a
 *  file; a line per file says what is wrong, or the number of its entries, of bytes in them, and of entries whose sizes
 *  follow their data. */
public class StreamedZips {
    private static long entries;
    private static long bytes;
    private static long late;

    public static void main(String[] files) throws Exception {
        for (String file : files) {
            entries = bytes = late = 0;
            try (InputStream in = Files.newInputStream(Path.of(file))) {
                read(in);
                System.out.println(entries + " " + bytes + " " + late);
            } catch (Exception wrong) {
                System.out.println("broken: " + wrong.getMessage());
            }
        }
    }

    private static void read(InputStream in) throws Exception {
        ZipInputStream zip = new ZipInputStream(in);
        for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
            entries++;
            if (entry.getSize() < 0) {
                late++;
            }
            byte[] content = zip.readAllBytes();
            bytes += content.length;
            if (entry.getName().endsWith(".asice")) {
                read(new ByteArrayInputStream(content));
            }
        }
    }
}
